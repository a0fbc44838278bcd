/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts the connections and bytes of each network namespace that the agent serves. Nobody can make
 * it keep more namespaces than its limit, or a namespace more than its share of the outcomes.
 *
 * A namespace has its place from its first event until a look at the sums no longer finds it among
 * those that are served. One without a place counts in the agent's sums alone.
 */
#ifndef SIDESTEP_METRICS_CONTAINERS_H
#define SIDESTEP_METRICS_CONTAINERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "events/event.h"
#include "metrics/metrics_set.h"

#define METRICS_CONTAINERS_MAX 100
/* Most outcomes (metrics_events.h) that a namespace may add. */
#define METRICS_CONTAINER_OUTCOMES 20

struct metrics_container {
	uint64_t netns;
	unsigned int outcomes; /* that it has added */
	uint64_t ends[EVENT_ENDS];
	uint64_t sent, received; /* bytes */
	bool served;		 /* at the present look */
};

/* Belongs to one thread at a time. Zero-initialised: it keeps none. */
struct metrics_containers {
	struct metrics_container *places;
	size_t count, limit;
};

/* Returns 0 or -ENOMEM. */
int metrics_containers_init(struct metrics_containers *containers, size_t limit);
void metrics_containers_release(struct metrics_containers *containers);

/* Returns the place of the namespace, which gets one if there is any. NULL: there is none. */
struct metrics_container *metrics_containers_find(struct metrics_containers *containers,
						  uint64_t netns);

/* A look: adds each namespace that is served, under its container's name. The end of the look frees
 * the places of all others. */
void metrics_containers_collect(struct metrics_containers *containers, uint64_t netns,
				const char *name, struct metrics_set *set);
void metrics_containers_end(struct metrics_containers *containers);

#endif
