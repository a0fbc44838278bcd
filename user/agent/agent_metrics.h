/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's metrics (--metrics-listen, --otlp): what its programs count for each container, and
 * what the sidecars' events tell.
 */
#ifndef SIDESTEP_AGENT_METRICS_H
#define SIDESTEP_AGENT_METRICS_H

#include "agent/agent_events.h"
#include "agent/agent_options.h"
#include "programs/programs.h"

/* The most sinks of events. */
#define AGENT_METRICS_SINKS 2

/* NULL stands for none in all functions: nobody wants metrics. */
struct agent_metrics;

/* Makes what takes events. @options stay the caller's. Returns 0 or negative errno, logged;
 * -EINVAL: an option is wrong. */
int agent_metrics_new(const struct agent_options *options, struct agent_metrics **ret_metrics);

/* Returns how many sinks the events must have. */
size_t agent_metrics_sinks(struct agent_metrics *metrics,
			   struct event_sink ret_sinks[AGENT_METRICS_SINKS]);

/* Serves and sends. The calling thread is in the host's network namespace. @programs and @events
 * outlive the stop. Returns 0 or negative errno, logged. */
int agent_metrics_start(struct agent_metrics *metrics, const struct programs *programs,
			struct agent_events *events);

/* Notes that Docker's news of @heard_us (CLOCK_MONOTONIC) have been acted on, or that none came. */
void agent_metrics_synced(struct agent_metrics *metrics, int64_t heard_us);
void agent_metrics_failed(struct agent_metrics *metrics);

/* Nothing is collected afterwards. Idempotent. */
void agent_metrics_stop(struct agent_metrics *metrics);

/* Sends the events that are left, and frees. The events have stopped. */
void agent_metrics_free(struct agent_metrics *metrics);

#endif
