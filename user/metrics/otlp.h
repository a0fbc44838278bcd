/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends metrics and events to a collector by OTLP over HTTP/1.1, in JSON, with TLS or without. It
 * has a thread of its own, and nobody waits for it.
 *
 * Events wait in a bounded buffer. Beyond it, and if the collector refuses them for good, they are
 * lost and counted. While the collector cannot be reached, or asks to come later, the same request
 * is repeated after pauses that grow. Metrics that are repeated are as they are then.
 */
#ifndef SIDESTEP_OTLP_H
#define SIDESTEP_OTLP_H

#include <stdbool.h>
#include <stdint.h>

#include "events/events.h"
#include "metrics/metrics_set.h"
#include "metrics/otlp_headers.h"
#include "metrics/otlp_url.h"
#include "stream/dial.h"

/* The most bytes of events that wait for a request, and the time between two of them, ms. */
#define OTLP_PENDING_MAX (4 * 1024 * 1024)
#define OTLP_TICK_MS	 1000
/* The limit for the last requests at the end, ms. */
#define OTLP_STOP_MS 1000

struct otlp_config {
	struct otlp_url url;
	struct otlp_headers headers;
	const char *ca;	  /* a file with CAs for https; NULL: the system's */
	bool application; /* the thread's namespace is an application's (metrics/otlp_target.h) */
	struct dial_announcer announcer;
	unsigned int interval_ms; /* between two requests with metrics */
	uint64_t start_ns;	  /* when counting began (since the Unix epoch); 0: now */
	/* Fills an empty set, or leaves it so if there are no figures any more. Called in the
	 * exporter's thread. */
	void (*collect)(void *context, struct metrics_set *set);
	void *context; /* the caller's; outlives the exporter's thread */
};

struct otlp;

/* Reads the CAs that another process needs for otlp_new(), which would fail likewise. Returns 0 or
 * negative errno, logged. */
int otlp_check(const struct otlp_config *config);

/* Returns 0 or negative errno, logged. */
int otlp_new(const struct otlp_config *config, struct otlp **ret_otlp);

/* Returns the sink of events, to be added before they start. */
struct event_sink otlp_sink(struct otlp *otlp);

/* Starts the thread. Returns 0 or negative errno, logged. */
int otlp_start(struct otlp *otlp);

/* Ends the metrics: nothing is collected afterwards. */
void otlp_end_metrics(struct otlp *otlp);

/* Sends the events that are left, for OTLP_STOP_MS at most, and stops the thread. Idempotent. */
void otlp_stop(struct otlp *otlp);

/* Stops and frees. NULL is allowed. */
void otlp_free(struct otlp *otlp);

/* Tells whether it looks names up. NULL is allowed. */
bool otlp_looks_up(const struct otlp *otlp);

/* Returns how many events were lost here. Thread safe. */
uint64_t otlp_lost(const struct otlp *otlp);

#endif
