/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts events: a sink of theirs (events/events.h) whose sums become metrics.
 *
 * In the agent they are the events of other processes, which may say what they like. Numbers and
 * names out of range count as others. A network namespace adds few outcomes of its own.
 */
#ifndef SIDESTEP_METRICS_EVENTS_H
#define SIDESTEP_METRICS_EVENTS_H

#include "events/events.h"
#include "metrics/metrics_set.h"

/* Most combinations of end, gateway status and reason that are told apart. The rest has the reason
 * "other". */
#define METRICS_OUTCOMES_MAX 200

struct metrics_events;

/* @hosts: how many names of hosts become labels; 0: none. @containers: how many network namespaces
 * have sums of their own; 0: the events are of one alone. Returns 0 or -ENOMEM. */
int metrics_events_new(size_t hosts, size_t containers, struct metrics_events **ret_sums);

/* NULL is allowed. */
void metrics_events_free(struct metrics_events *sums);

/* Returns the sink, to be added before the events start. */
struct event_sink metrics_events_sink(struct metrics_events *sums);

/* Adds the sums. Thread safe. */
void metrics_events_collect(struct metrics_events *sums, struct metrics_set *set);

/* Adds what a sidecar's proxy counts itself, as far as events tell it. Thread safe. */
void metrics_events_collect_totals(struct metrics_events *sums, struct metrics_set *set);

/* Add the network namespaces that are served, one after the other, and forget all others. Of one
 * thread at a time. */
void metrics_events_collect_container(struct metrics_events *sums, uint64_t netns, const char *name,
				      struct metrics_set *set);
void metrics_events_end_containers(struct metrics_events *sums);

#endif
