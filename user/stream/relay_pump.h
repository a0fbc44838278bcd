/* SPDX-License-Identifier: Apache-2.0 */
/* Moves a relay's bytes. */
#ifndef SIDESTEP_RELAY_PUMP_H
#define SIDESTEP_RELAY_PUMP_H

#include <stddef.h>

#include "stream/relay.h"

/* Keeps a copy of bytes that were read before the relay started; they are sent first. At most
 * RELAY_BUFFER in total. Returns 0, -ENOMEM or -ENOBUFS. */
int relay_queue(struct relay *relay, int direction, const void *data, size_t size);

/* Does the same with memory from malloc(), which belongs to the relay from here on. Only once. */
void relay_queue_owned(struct relay *relay, int direction, char *data, size_t size);

/* The source's EOF was read before the relay started. */
void relay_ended(struct relay *relay, int direction);

/* Takes over both sides. They are registered with RELAY_EVENTS, and latched events count. May call
 * finish before it returns. Does not set TCP_NODELAY: the owner may. */
void relay_start(struct relay *relay);

/*
 * For an owner that moves bytes by other means between the same sides (tls_relay.h). Sends the
 * bytes that are kept for the target of @direction. Returns 1 when none is left, 0 when the target
 * takes no more now, or negative errno.
 */
int relay_flush(struct relay *relay, int direction);

/* For the same owners. Writes @size bytes of the thread's buffer to the target and keeps the rest,
 * which must fit: RELAY_BUFFER in all. Returns 0 or negative errno. */
int relay_write(struct relay *relay, int direction, size_t size);

#endif
