/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events that `sidestep observe` has read before it follows. A socket gives what is remembered
 * again then, in the same order, but for the oldest ones. Their times are in no order.
 */
#ifndef SIDESTEP_OBSERVE_KNOWN_H
#define SIDESTEP_OBSERVE_KNOWN_H

#include <jansson.h>
#include <stdbool.h>

/* Zero-initialised: none. */
struct observe_known {
	json_t *ids; /* an object with a key for each */
	char *last;
};

/* Adds an event that was read. Returns 0 or -ENOMEM. */
int observe_known_add(struct observe_known *known, const char *id);

/* Tells whether an event was read before. Behind the last one nothing was. */
bool observe_known_has(struct observe_known *known, const char *id);

void observe_known_free(struct observe_known *known);

#endif
