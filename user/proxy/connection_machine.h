/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decides how a connection goes on, and starts its next part:
 *
 *	PEEK	the client's first bytes are read; meanwhile the gateway is dialed
 *	CONNECT	the peek is over, the gateway is not connected yet
 *	ANSWER	the CONNECT request is on its way, or its answer is awaited
 *	RELAY	bytes pass both ways
 *	DONE	closed; the loop's next round frees the memory
 *
 * The parts (peek, dial, exchange, intercept, relay) do not know each other. Each tells the machine
 * how it ended. The machine alone changes the state; connection_step() does so without any socket.
 */
#ifndef SIDESTEP_CONNECTION_MACHINE_H
#define SIDESTEP_CONNECTION_MACHINE_H

#include <stdbool.h>

#include "proxy/exchange.h"

struct connection;
struct dial;
struct peek;
struct relay;

enum connection_state {
	CONNECTION_PEEK,
	CONNECTION_CONNECT,
	CONNECTION_ANSWER,
	CONNECTION_RELAY,
	CONNECTION_DONE,
};

enum connection_event {
	CONNECTION_NO_PEEK,   /* there are no hints to look for */
	CONNECTION_PEEKED,    /* the hints are final, or the wait for them is over */
	CONNECTION_CONNECTED, /* the gateway accepted */
	CONNECTION_REDIAL,    /* there is another gateway now, and the old one knows no request */
	CONNECTION_ACCEPTED,  /* the gateway answered 2xx */
	CONNECTION_FAILED,    /* gateway or client failed, whatever the state */
	CONNECTION_ENDED,     /* both directions of the relay are closed */
};

enum connection_action {
	CONNECTION_WAIT,   /* nothing to do now */
	CONNECTION_SEND,   /* send the CONNECT request */
	CONNECTION_DIAL,   /* drop the gateway's side and dial again */
	CONNECTION_PASS,   /* start the relay */
	CONNECTION_REFUSE, /* reset the client; the gateway gets a FIN, as nothing was promised */
	CONNECTION_RESET,  /* reset both */
	CONNECTION_CLOSE,  /* close both */
};

/* Zero-initialised at first: PEEK. */
struct connection_machine {
	enum connection_state state;
	bool connected;
};

/* Advances the machine and returns what is to be done. An event that has no place in the state
 * changes nothing. */
enum connection_action connection_step(struct connection_machine *machine,
				       enum connection_event event);

/* "peek", "connect", and so on, for messages. */
const char *connection_state_name(enum connection_state state);

/* Advances the connection's machine and does what it says. */
void connection_handle(struct connection *connection, enum connection_event event);

/* No socket could be made for the gateway (negative errno): logs it and ends the connection. */
void connection_no_socket(struct connection *connection, int error);

/* The gateway could not be connected to (negative errno): dials a newer gateway, or logs it and
 * ends the connection. */
void connection_not_connected(struct connection *connection, int error);

/* The callbacks of a connection's parts. */
void connection_peek_done(struct peek *peek, int error);
void connection_dial_done(struct dial *dial, int error);
void connection_exchange_done(struct exchange *exchange, enum exchange_result result);
void connection_relay_finished(struct relay *relay, bool reset);

#endif
