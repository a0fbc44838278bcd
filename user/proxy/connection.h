/* SPDX-License-Identifier: Apache-2.0 */
/* One steered connection, from its opening to its end. connection_machine.h decides in between. */
#ifndef SIDESTEP_CONNECTION_H
#define SIDESTEP_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proxy/connection_parts.h"
#include "proxy/connection_state.h"
#include "proxy/worker.h"
#include "stream/flow.h"

/* Makes the flow of an accepted @fd, whose getsockname() is the original destination. Returns 0 or
 * negative errno, with a flow that has none. */
int connection_flow(const struct worker *worker, int fd, const struct sockaddr_storage *source,
		    struct flow *ret_flow);

/*
 * Opens a connection for an accepted @fd, and dials the gateway, unless the connection is answered
 * without it. It was counted in shared->live already. NULL: it was refused. *@ret_error is the
 * dial's, as of connection_dial(). The callbacks of the parts are still to be set.
 */
struct connection *connection_open(struct worker *worker, int fd, const struct flow *flow,
				   int *ret_error);

/* Dials the current gateway. Returns 0 or negative errno, -EDESTADDRREQ: its address is not known.
 * handshake->has_socket tells whether it
 * was the socket that could not be made. */
int connection_dial(struct connection *connection);

/* Returns the destination's port, host byte order. */
uint16_t connection_port(const struct connection *connection);

/* Returns who is expected to speak first, and remembers for later connections who did. */
enum first_speaker connection_expects(const struct connection *connection);
void connection_first_speaker(struct connection *connection, enum first_speaker who);

/* Tells whether @flow is to be carried straight to its destination. */
bool connection_exempt(const struct worker *worker, const struct flow *flow);

/* Resets an accepted socket that there is no room for. It was not counted in shared->live. Its
 * event has what worker_blame() says of it; without that there is none. */
void connection_refuse(struct worker *worker, int fd, const struct flow *flow);

/* Keeps that the connection of @flow ends because there is no memory, for its event. */
void connection_lacks_memory(struct worker *worker, const struct flow *flow);

/* Frees the state before RELAY, if the connection still has it. */
void connection_handshake_free(struct connection *connection);

/* Ends a connection as @action says, which is one of the last three. The loop frees its memory. */
void connection_end(struct connection *connection, enum connection_action action);

#endif
