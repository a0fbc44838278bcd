/* SPDX-License-Identifier: Apache-2.0 */
/* A connection and the parts that work for it. */
#ifndef SIDESTEP_CONNECTION_PARTS_H
#define SIDESTEP_CONNECTION_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/list.h"
#include "lib/socket_address.h"
#include "proxy/connection_state.h"
#include "proxy/dns_stream.h"
#include "proxy/exchange.h"
#include "proxy/intercept.h"
#include "proxy/peek.h"
#include "proxy/worker.h"
#include "stream/dial.h"
#include "stream/flow.h"
#include "stream/loop.h"
#include "stream/peer_watch.h"
#include "stream/relay.h"

/* The event needs these at the end. Their size counts for each live connection. */
struct connection_facts {
	uint32_t id; /* the lower bits of the events' id */
	uint32_t connect_us, open_us, first_byte_us;
	uint16_t gateway_status;
	uint8_t name_source; /* enum event_source */
};

/* The time before RELAY; freed then. */
struct connection_handshake {
	struct connection *connection;
	struct dial dial;
	struct socket_address gateway; /* the one that was dialed */
	bool has_socket;	       /* the dial got one */
	struct loop_task redial;
	struct peek peek;
	struct exchange exchange; /* last: its buffers are not zeroed */
};

struct connection {
	struct worker *worker;
	struct list_link link; /* worker->connections */
	struct connection_machine machine;
	struct connection_handshake *handshake; /* NULL from RELAY on */
	char *name; /* from RELAY on: what the handshake told; NULL: nothing, or no memory */
	struct intercept *intercept; /* NULL: TLS does not end here */
	struct dns_stream *dns;	     /* NULL: it is no DNS */
	struct relay relay;	     /* side 0: application, 1: gateway */
	struct flow flow;
	struct connection_facts facts;
	unsigned int generation; /* of the gateway that was dialed */
	bool direct;		 /* side 1 leads straight to the destination */
	bool unheard;		 /* nobody has spoken, and it is of interest who does first */
	struct loop_timer flow_timer;
	struct peer_watch watch;
	struct loop_release release;
};

#endif
