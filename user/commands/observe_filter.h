/* SPDX-License-Identifier: Apache-2.0 */
/* Selects events for `sidestep observe`. */
#ifndef SIDESTEP_OBSERVE_FILTER_H
#define SIDESTEP_OBSERVE_FILTER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/address.h"

/* The value of --last for all. */
#define OBSERVE_ALL 1000000

/* The values of the options; NULL or 0: any, but for --last. */
struct observe_options {
	const char *container, *process; /* globs */
	const char *verdict, *reason;
	const char *to; /* a glob of names, or a prefix */
	unsigned int port;
	unsigned int last;
	const char *since;
	const char *socket;
	bool follow, json, table;
};

struct observe_filter {
	const struct observe_options *options;
	bool has_prefix; /* --to is one */
	struct prefix prefix;
};

/* Returns 0, or -EINVAL: a value selects nothing that there is. That is logged. */
int observe_filter_init(struct observe_filter *filter, const struct observe_options *options);

/* Gaps in the stream are always selected. */
bool observe_filter_selects(const struct observe_filter *filter, const json_t *event);

/* Reads "90s", "5m", "2h" or "1d" as milliseconds, which are above 0. Returns 0 or -EINVAL. */
int observe_parse_since(const char *text, uint64_t *ret_ms);

#endif
