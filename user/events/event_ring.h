/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remembers the latest events, packed, in a bounded ring, and the labels of their containers once.
 * Each reader has a cursor of its own. The oldest events give way, and a reader that was too slow
 * learns how many it has lost.
 */
#ifndef SIDESTEP_EVENT_RING_H
#define SIDESTEP_EVENT_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "events/event.h"

/* The least size, in bytes: it holds a few of the largest events. */
#define EVENT_RING_MIN (256 * 1024)

struct event_ring;

/* A place in the ring: an offset of bytes and a number of events since the ring's beginning. */
struct event_cursor {
	uint64_t offset, number;
};

/* Returns NULL: out of memory. The pages come with use. */
struct event_ring *event_ring_new(size_t size);
/* NULL is allowed. */
void event_ring_free(struct event_ring *ring);

/* Keeps the event. Returns its packed size. */
size_t event_ring_put(struct event_ring *ring, const struct event *event);

/* The places of the oldest event, and behind the newest one. */
struct event_cursor event_ring_oldest(const struct event_ring *ring);
struct event_cursor event_ring_newest(const struct event_ring *ring);

/* Stores the event at the cursor, whose texts are valid until the next event_ring_put(), and
 * advances the cursor. False: there is none yet. Adds to *@lost how many had given way. */
bool event_ring_next(const struct event_ring *ring, struct event_cursor *cursor,
		     struct event *ret_event, uint64_t *lost);

#endif
