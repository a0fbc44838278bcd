/* SPDX-License-Identifier: Apache-2.0 */
/* Counts events: a sink of theirs (events/events.h) whose sums become metrics. */
#ifndef SIDESTEP_METRICS_EVENTS_H
#define SIDESTEP_METRICS_EVENTS_H

#include "events/events.h"
#include "metrics/metrics_set.h"

/* Most combinations of end, gateway status and reason that are told apart. The rest has the reason
 * "other". */
#define METRICS_OUTCOMES_MAX 200

struct metrics_events;

/* @hosts: how many names of hosts become labels; 0: none. Returns 0 or -ENOMEM. */
int metrics_events_new(size_t hosts, struct metrics_events **ret_sums);

/* NULL is allowed. */
void metrics_events_free(struct metrics_events *sums);

/* Returns the sink, to be added before the events start. */
struct event_sink metrics_events_sink(struct metrics_events *sums);

/* Adds the sums. Thread safe. */
void metrics_events_collect(struct metrics_events *sums, struct metrics_set *set);

#endif
