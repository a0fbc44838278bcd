// SPDX-License-Identifier: Apache-2.0
#include "events/event_denials.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/time_text.h"
#include "lib/util.h"

/* Places of the table, a power of two. They are never all taken. */
#define PLACES 256

_Static_assert(EVENT_DENIALS_MAX < PLACES, "a search ends");

struct gathered {
	struct sidestep_denial first;
	uint64_t time_us;
	uint64_t packets; /* 0: the place is free */
};

struct event_denials {
	struct loop *loop;
	void (*put)(void *context, const struct sidestep_denial *first, uint64_t time_us,
		    uint64_t packets);
	void *context;
	struct loop_timer_class timer_class;
	struct loop_timer timer; /* runs while there is something */
	struct gathered table[PLACES];
	uint8_t order[EVENT_DENIALS_MAX]; /* the places that are taken, the oldest first */
	size_t count;
};

static void expired(struct loop_timer *timer)
{
	event_denials_flush(container_of(timer, struct event_denials, timer));
}

struct event_denials *event_denials_new(struct loop *loop,
					void (*put)(void *context,
						    const struct sidestep_denial *first,
						    uint64_t time_us, uint64_t packets),
					void *context)
{
	struct event_denials *denials = calloc(1, sizeof(*denials));

	if (!denials)
		return NULL;
	denials->loop = loop;
	denials->put = put;
	denials->context = context;
	denials->timer.expired = expired;
	loop_timer_class_init(loop, &denials->timer_class, EVENT_DENIALS_MS);
	return denials;
}

/* FNV-1a, by words. An opponent who makes collisions slows down a search among few places. */
static size_t place_of(const struct sidestep_flow_key *flow)
{
	uint32_t hash = 2166136261, word;
	size_t i;

	for (i = 0; i < sizeof(*flow); i += sizeof(word)) {
		memcpy(&word, (const char *)flow + i, sizeof(word));
		hash = (hash ^ word) * 16777619;
	}
	return (hash ^ hash >> 16) % PLACES;
}

static bool alike(const struct sidestep_denial *a, const struct sidestep_denial *b)
{
	return memcmp(&a->flow, &b->flow, sizeof(a->flow)) == 0 && a->verdict == b->verdict &&
	       a->judged == b->judged && a->process.pid == b->process.pid;
}

/* Returns the record's place, or a free one for it. */
static size_t search(const struct event_denials *denials, const struct sidestep_denial *record)
{
	size_t place = place_of(&record->flow);

	while (denials->table[place].packets > 0 && !alike(&denials->table[place].first, record))
		place = (place + 1) % PLACES;
	return place;
}

void event_denials_add(struct event_denials *denials, const struct sidestep_denial *record)
{
	size_t place = search(denials, record);
	struct gathered *gathered = &denials->table[place];

	if (gathered->packets > 0) {
		gathered->packets++;
		gathered->first.lost = record->lost;
		return;
	}
	if (denials->count == EVENT_DENIALS_MAX) {
		event_denials_flush(denials);
		place = search(denials, record);
		gathered = &denials->table[place];
	}
	*gathered = (struct gathered) {.first = *record, .time_us = time_text_now(), .packets = 1};
	if (denials->count == 0)
		loop_timer_start(denials->loop, &denials->timer_class, &denials->timer);
	denials->order[denials->count++] = (uint8_t)place;
}

void event_denials_flush(struct event_denials *denials)
{
	size_t i;

	if (!denials || denials->count == 0)
		return;
	for (i = 0; i < denials->count; i++) {
		struct gathered *gathered = &denials->table[denials->order[i]];

		denials->put(denials->context, &gathered->first, gathered->time_us,
			     gathered->packets);
		gathered->packets = 0;
	}
	denials->count = 0;
	loop_timer_stop(&denials->timer);
}

uint32_t event_denials_lost(const struct sidestep_denial *denial, uint32_t *told)
{
	uint32_t more = denial->lost - *told;

	/* The sums wrap around. */
	if (more > UINT32_MAX / 2)
		return 0;
	*told = denial->lost;
	return more;
}

void event_denials_free(struct event_denials *denials)
{
	if (!denials)
		return;
	loop_timer_stop(&denials->timer);
	free(denials);
}
