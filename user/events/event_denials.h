/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gathers the records of denied packets for a moment. Packets of one flow that are denied alike
 * become one event, with their number, so that a flood leaves few events.
 */
#ifndef SIDESTEP_EVENT_DENIALS_H
#define SIDESTEP_EVENT_DENIALS_H

#include <stdint.h>

#include "sidestep.h"
#include "stream/loop.h"

/* How long records are gathered, ms. */
#define EVENT_DENIALS_MS 1000
/* Flows that are gathered at the same time. All are put when one more comes. */
#define EVENT_DENIALS_MAX 192

struct event_denials;

/*
 * @put gets each flow: its first record with the newest .lost, when that came (CLOCK_REALTIME, us),
 * and how many came. It is called in the loop's thread. Returns NULL: no memory.
 */
struct event_denials *event_denials_new(struct loop *loop,
					void (*put)(void *context,
						    const struct sidestep_denial *first,
						    uint64_t time_us, uint64_t packets),
					void *context);

/* Takes a record. In the loop's thread. */
void event_denials_add(struct event_denials *denials, const struct sidestep_denial *record);

/* Puts all that was gathered. In the loop's thread, or once that has ended. NULL is allowed. */
void event_denials_flush(struct event_denials *denials);

/* Returns how many records were left out beyond *@told, and stores the new sum there. Flows are not
 * put in the order of their newest records. */
uint32_t event_denials_lost(const struct sidestep_denial *denial, uint32_t *told);

/* Forgets what was gathered. NULL is allowed. */
void event_denials_free(struct event_denials *denials);

#endif
