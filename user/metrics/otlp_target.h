/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses of an OTLP collector, which are looked up if it has a name.
 *
 * In an application's namespace only the addresses of the first lookup count (names/name_first.h),
 * because the exporter's sockets may leave for anywhere.
 */
#ifndef SIDESTEP_OTLP_TARGET_H
#define SIDESTEP_OTLP_TARGET_H

#include <stdbool.h>

#include "metrics/otlp_url.h"
#include "names/name_first.h"

/* Belongs to one thread. The owner sets these fields of a zero-initialised one. */
struct otlp_target {
	const struct otlp_url *url;
	struct name_lookup lookup;
	bool application; /* the namespace is an application's */

	struct name_first first;
	struct socket_address addresses[NAME_LOOKUP_MAX];
	size_t count, next;
};

/* Tells where to connect. It waits for a lookup of at most NAME_LOOKUP_LIMIT_MS, unless an address
 * is known. Returns 0, -EXDEV: the name has new addresses alone, which do not count, or as
 * name_lookup(). */
int otlp_target_find(struct otlp_target *target, struct socket_address *ret_address);

/* Notes that nobody answers there. The next call has another address, or looks the name up again.
 */
void otlp_target_failed(struct otlp_target *target);

/* Frees what was read. */
void otlp_target_release(struct otlp_target *target);

#endif
