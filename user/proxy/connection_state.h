/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states of a connection, and its machine's events and actions:
 *
 *	PEEK	the client's first bytes are read; meanwhile the gateway is dialed
 *	CONNECT	the peek is over, the gateway is not connected yet
 *	ANSWER	the CONNECT request is on its way, or its answer is awaited
 *	RELAY	bytes pass both ways
 *	DONE	closed; the loop's next round frees the memory
 */
#ifndef SIDESTEP_CONNECTION_STATE_H
#define SIDESTEP_CONNECTION_STATE_H

#include <stdbool.h>

enum connection_state {
	CONNECTION_PEEK,
	CONNECTION_CONNECT,
	CONNECTION_ANSWER,
	CONNECTION_RELAY,
	CONNECTION_DONE,
};

enum connection_event {
	CONNECTION_ALONE,     /* it is answered without the gateway */
	CONNECTION_NO_PEEK,   /* there are no hints to look for */
	CONNECTION_PEEKED,    /* the hints are final, or the wait for them is over */
	CONNECTION_CONNECTED, /* the gateway accepted */
	CONNECTION_LOST,      /* the gateway hung up before it got a request */
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
	bool connected; /* to the gateway */
	bool lost;	/* it hung up since; PEEK only */
};

#endif
