/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remembers events, and gives them to readers at a unix socket (docs/EVENTS.md). A reader sends one
 * line of JSON, and gets the events that are remembered, then those that come. Nobody waits for a
 * reader: a slow one loses events of its own, and gets a record of type `lost` in their place.
 *
 * It works in the events' thread.
 */
#ifndef SIDESTEP_EVENT_SERVER_H
#define SIDESTEP_EVENT_SERVER_H

#include <stddef.h>

#include "events/events.h"

/* Further readers are sent away. */
#define EVENT_READERS_MAX 32
/* The longest request, and the time within which it must come, ms. */
#define EVENT_REQUEST_MAX 256
#define EVENT_REQUEST_MS  5000

struct event_server;

/*
 * Makes the socket @path, for its owner alone, with the folders above it. Adds the server to the
 * sinks of @events. @memory: bytes of packed events that are remembered. Before the start.
 * Returns 0 or negative errno, of which -EROFS, -EACCES and the like are the path's. After -ENOMEM
 * and -EMFILE the events may only be freed.
 */
int event_server_new(struct events *events, const char *path, size_t memory,
		     struct event_server **ret_server);

/* Removes the socket and lets all readers go. After events_stop(), before events_free(). NULL is
 * allowed. */
void event_server_free(struct event_server *server);

#endif
