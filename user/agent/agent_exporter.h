/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has metrics served and sent by a process without rights, the exporter. It reads the requests of
 * scrapers, and talks to the collector. The agent gives it figures when it asks, and events as they
 * come, and takes nothing from it but fixed messages.
 */
#ifndef SIDESTEP_AGENT_EXPORTER_H
#define SIDESTEP_AGENT_EXPORTER_H

#include <stdint.h>

#include "agent/agent_options.h"
#include "events/events.h"
#include "metrics/metrics_set.h"

struct agent_exporter;

/* Prepares what @options ask for, which stay the caller's. @collect fills an empty set in the
 * exporter's thread, or leaves it so if there are no figures any more. Returns 0 or negative errno,
 * logged; -EINVAL: an option is wrong. */
int agent_exporter_new(const struct agent_options *options,
		       void (*collect)(void *context, struct metrics_set *set), void *context,
		       struct agent_exporter **ret_exporter);

/* Returns the sink of the events that are sent. */
struct event_sink agent_exporter_sink(struct agent_exporter *exporter);

/* Starts the process, and a thread that answers it. The calling thread is in the host's network
 * namespace, and lives as long as the exporter. Returns 0 or negative errno, logged. */
int agent_exporter_start(struct agent_exporter *exporter);

/* Returns how many events were lost on their way to the collector. Thread safe. */
uint64_t agent_exporter_lost(const struct agent_exporter *exporter);

/* Gives the process some time to send the events that are left, ends it, and frees. NULL is
 * allowed. */
void agent_exporter_free(struct agent_exporter *exporter);

#endif
