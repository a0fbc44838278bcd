/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events of all sidecars that the agent serves, and of the packets that its programs deny. The
 * agent adds what only the host knows: process, program, control group and container. Its readers
 * are at a unix socket (docs/EVENTS.md).
 */
#ifndef SIDESTEP_AGENT_EVENTS_H
#define SIDESTEP_AGENT_EVENTS_H

#include <stddef.h>

#include "agent/agent_news.h"
#include "events/events.h"
#include "programs/programs.h"
#include "stream/loop.h"

struct agent_events;

/* A sidecar's end of its events' socket. Zero-initialised with fd = -1 it is closed. */
struct agent_report {
	struct loop_handler handler;
	struct agent_events *events;
	uint32_t netns;
};

/*
 * Starts to serve readers at the socket @path, on @loop and a thread of its own. @programs and
 * @loop stay the caller's. @sinks get all events as well. The agent's own network namespace is
 * @home. Returns 0 or a negative errno, logged.
 */
int agent_events_new(struct loop *loop, struct programs *programs, uint32_t home, const char *path,
		     const struct event_sink *sinks, size_t sink_count,
		     struct agent_events **ret_events);

/* Sums since the start. Thread safe. */
struct agent_events_counters {
	struct events_counters own;
	uint64_t lost_before; /* sidecars and programs lost these, and said so */
};
void agent_events_counters(struct agent_events *events, struct agent_events_counters *ret_counters);

/* Learns the containers' names and labels from Docker's newest list. */
void agent_events_seen(struct agent_events *events, const struct agent_seen *seen, size_t count);

/* Takes @fd, from which a sidecar's events of the namespace @netns come. It replaces an earlier
 * one. @report outlives the batch of events in progress. Returns 0 or a negative errno. */
int agent_report_open(struct agent_report *report, struct agent_events *events, uint32_t netns,
		      int fd);
void agent_report_close(struct agent_report *report);

/* Takes what waits there, as far as it may, and closes it. */
void agent_report_drain(struct agent_report *report);

/* Gives readers and sinks what has come until now, and ends that. The loop must not run any more.
 * Idempotent. NULL is allowed. */
void agent_events_stop(struct agent_events *events);

/* Stops and frees. NULL is allowed. */
void agent_events_free(struct agent_events *events);

#endif
