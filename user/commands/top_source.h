/* SPDX-License-Identifier: Apache-2.0 */
/* Fills the model of `sidestep top` from the event sockets and the pinned maps of this machine. */
#ifndef SIDESTEP_TOP_SOURCE_H
#define SIDESTEP_TOP_SOURCE_H

#include <poll.h>
#include <stddef.h>

#include "commands/top_model.h"
#include "lib/run_socket.h"

/* The folder of the event sockets, and most of them that are followed. */
#define TOP_SOCKETS_FOLDER RUN_SOCKET_FOLDER
#define TOP_SOCKETS_MAX	   64

struct top_source;

/* @folder: of the sockets. @pin: of the maps; NULL: every one below STATUS_PIN_ROOT. Both stay the
 * caller's. NULL: out of memory. */
struct top_source *top_source_new(struct top_model *model, const char *folder, const char *pin);
/* NULL is allowed. */
void top_source_free(struct top_source *source);

/* Begins a round: connects to new sockets, and reads the maps into the model. */
void top_source_look(struct top_source *source);

/* Fills @ret_events with what to poll for. Returns how many, at most TOP_SOCKETS_MAX. */
size_t top_source_poll(const struct top_source *source, struct pollfd ret_events[]);

/* Reads from the sockets that @events, filled and polled, show as ready. */
void top_source_read(struct top_source *source, const struct pollfd events[], size_t count);

/* Returns how many sockets are followed. */
size_t top_source_count(const struct top_source *source);

#endif
