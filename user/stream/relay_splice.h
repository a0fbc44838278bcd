/* SPDX-License-Identifier: Apache-2.0 */
/* Moves a relay's bulk through pipes of the thread's pool, without copying it (splice(2)). */
#ifndef SIDESTEP_RELAY_SPLICE_H
#define SIDESTEP_RELAY_SPLICE_H

#include <stdbool.h>
#include <sys/types.h>

#include "stream/relay.h"

/* The direction moves bulk from here on. Shortens the queues of peers that are near. */
void relay_splice_begin(struct relay *relay, int direction);

/* Takes a pipe for the direction, unless it has one. False: none is left. */
bool relay_splice_prepare(struct relay *relay, int direction);

/* Moves bytes from the source into the direction's pipe, which is empty. Ends the bulk mode when
 * that does not pay. Returns a positive number, 0: no more now, or negative errno. */
ssize_t relay_splice_in(struct relay *relay, int direction);

/* Moves bytes from the pipe to the target. Returns as splice(2). */
ssize_t relay_splice_out(struct relay *relay, int direction);

#endif
