/* SPDX-License-Identifier: Apache-2.0 */
/* One steered connection: opened here, advanced by its machine (connection_machine.h), closed here.
 */
#ifndef SIDESTEP_CONNECTION_H
#define SIDESTEP_CONNECTION_H

#include <sys/socket.h>

#include "lib/socket_address.h"
#include "proxy/connection_machine.h"
#include "proxy/exchange.h"
#include "proxy/intercept.h"
#include "proxy/peek.h"
#include "proxy/worker.h"
#include "stream/acceptor.h"
#include "stream/dial.h"
#include "stream/flow.h"
#include "stream/loop.h"
#include "stream/relay.h"

/* The time before RELAY; freed then. */
struct connection_handshake {
	struct connection *connection;
	struct dial dial;
	struct socket_address gateway; /* the one that was dialed */
	unsigned int generation;       /* of it */
	struct loop_task redial;
	struct peek peek;
	struct exchange exchange; /* last: its buffers are not zeroed */
};

struct connection {
	struct worker *worker;
	struct connection *next, *previous;
	struct connection_machine machine;
	struct connection_handshake *handshake; /* NULL from RELAY on */
	struct intercept *intercept;		/* NULL: bytes are relayed as they are */
	struct relay relay;			/* side 0: application, 1: gateway */
	struct flow flow;
	struct loop_timer flow_timer;
	struct loop_release release;
};

/* Takes a connection from a listener of a worker; getsockname() tells its original destination. */
void connection_accepted(struct acceptor *acceptor, int fd, const struct sockaddr_storage *source);

/* No descriptor is left: resets the connection, unless @fd is negative. */
void connection_exhausted(struct acceptor *acceptor, int fd, const struct sockaddr_storage *source);

/* Frees the state before RELAY, if the connection still has it. */
void connection_handshake_free(struct connection *connection);

/* Ends a connection as @action says, which is one of the last three. The loop frees its memory. */
void connection_end(struct connection *connection, enum connection_action action);

/* Resets all connections of a worker. From the loop's thread, outside of event handlers. */
void connection_reset_all(struct worker *worker);

#endif
