/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepts connections, decides how each goes on, and starts its next part.
 *
 * The parts (peek, dial, exchange, intercept, relay) do not know each other. Each tells the machine
 * how it ended. The machine alone changes the state; connection_step() does so without any socket.
 */
#ifndef SIDESTEP_CONNECTION_MACHINE_H
#define SIDESTEP_CONNECTION_MACHINE_H

#include <sys/socket.h>

#include "proxy/connection_state.h"
#include "proxy/worker.h"
#include "stream/acceptor.h"

/* Advances the machine and returns what is to be done. An event that has no place in the state
 * changes nothing. */
enum connection_action connection_step(struct connection_machine *machine,
				       enum connection_event event);

/* "peek", "connect", and so on, for messages. */
const char *connection_state_name(enum connection_state state);

/* Takes a connection from a listener of a worker; getsockname() tells its original destination. */
void connection_accepted(struct acceptor *acceptor, int fd, const struct sockaddr_storage *source);

/* Resets all connections of a worker. From the loop's thread, outside of event handlers. */
void connection_reset_all(struct worker *worker);

#endif
