/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes events from all threads, and gives them to sinks in a thread of its own. A producer never
 * waits: it copies its event into a bounded queue. When that is full, events are left out, and
 * counted by an event of type EVENT_LOST.
 */
#ifndef SIDESTEP_EVENTS_H
#define SIDESTEP_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "events/event.h"

struct events;
struct loop;

/* The thread takes events together that come within this time, ms. */
#define EVENTS_GATHER_MS 25
/* The most bytes of packed events that wait for the thread: some 10000 events. */
#define EVENTS_QUEUE_MAX (2 * 1024 * 1024)
#define EVENTS_SINKS_MAX 8

/* A sink's functions are called in the events' thread. They must not wait. */
struct event_sink {
	void *context;
	/* The event and its texts are valid until it returns. */
	void (*take)(void *context, const struct event *event);
	/* The events that have come together are over. May be NULL. */
	void (*flush)(void *context);
};

struct events_config {
	uint64_t netns; /* of events that name none */
	/* Finds the process and the container of the event's flow, soon after its end, and sets
	 * these texts and the pid. The texts stay valid until the next call. In the events' thread.
	 * May be NULL. */
	void (*resolve)(void *context, struct event *event);
	void *context;
};

/* Returns 0 or negative errno. */
int events_new(const struct events_config *config, struct events **ret_events);

/* Adds a sink, which is copied. Before the start. Returns 0 or -ENOBUFS. */
int events_add_sink(struct events *events, const struct event_sink *sink);

/* The thread's loop, for sinks with descriptors of their own. */
struct loop *events_loop(struct events *events);

/* Starts the thread. Returns 0 or negative errno. */
int events_start(struct events *events);

/* Takes an event. Sets its time, its id and its namespace unless they are set. Thread safe. */
void events_put(struct events *events, struct event *event);

/* Returns an id for an event, so that several events of one connection have the same. The lower 32
 * bits are enough to find it again within the next 2^32 ids. Thread safe. */
uint64_t events_new_id(struct events *events);
uint64_t events_find_id(const struct events *events, uint32_t low);

/* Counts those who ask for EVENT_OPEN, and tells whether there are any. Thread safe. */
void events_ask_open(struct events *events, int change);
bool events_asks_open(const struct events *events);

/* Sums since the start. Thread safe. */
struct events_counters {
	uint64_t taken;
	uint64_t lost; /* the queue was full */
};
void events_counters(struct events *events, struct events_counters *ret_counters);

/* Returns an event that tells of @count lost ones. */
struct event events_lost(struct events *events, uint64_t count);

/* Gives the sinks what has come since the stop. */
void events_drain(struct events *events);

/* Gives the sinks what has come until now, and stops the thread. Idempotent. NULL is allowed. */
void events_stop(struct events *events);

/* Stops and frees. NULL is allowed. */
void events_free(struct events *events);

#endif
