/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed events in one message, from a sidecar to the host's agent, and from there to its exporter.
 * All have the same version. The agent does not trust what it reads.
 */
#ifndef SIDESTEP_EVENT_BATCH_H
#define SIDESTEP_EVENT_BATCH_H

#include "events/event.h"

/* A message has room for several events of any size. */
#define EVENT_BATCH_MAX (64 * 1024)

_Static_assert(EVENT_BATCH_MAX > 2 * (EVENT_PACKED_MAX + EVENT_LABELS_MAX),
	       "room for events of any size");

/* Zero-initialised: empty. */
struct event_batch {
	size_t used;
	char bytes[EVENT_BATCH_MAX];
};

/* Adds an event. False: there is no room, so the batch must be sent first. */
bool event_batch_add(struct event_batch *batch, const struct event *event);

/* Calls @take with each event of a message. It checks all that it reads, and texts end with NUL.
 * False: the message is malformed, and the rest of it is left out. */
bool event_batch_each(const char *bytes, size_t size,
		      void (*take)(void *context, struct event *event), void *context);

/* Do likewise with a container's labels (EVENT_CONTAINER_LABELS) as well, which a sidecar does not
 * tell. */
bool event_batch_add_labelled(struct event_batch *batch, const struct event *event);
bool event_batch_each_labelled(const char *bytes, size_t size,
			       void (*take)(void *context, struct event *event), void *context);

#endif
