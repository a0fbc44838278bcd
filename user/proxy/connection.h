/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One intercepted connection, from accept to its end:
 *
 *	PEEK	the client's first bytes are looked at; the gateway is being connected to meanwhile
 *	CONNECT	the peek is over, the gateway is not connected yet
 *	ANSWER	the CONNECT request is sent, its answer is awaited
 *	RELAY	bytes pass both ways
 *	DONE	closed; the memory goes with the next round of the loop
 *
 * What follows what is decided by connection_step() alone, which knows of no sockets.
 */
#ifndef SIDESTEP_CONNECTION_H
#define SIDESTEP_CONNECTION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/complaint.h"
#include "lib/socket_address.h"
#include "proto/hints.h"
#include "proto/tunnel.h"
#include "proxy/proxy.h"
#include "stream/dial.h"
#include "stream/flow.h"
#include "stream/loop.h"
#include "stream/relay.h"
#include "tls/tls_relay.h"

enum connection_state {
	CONNECTION_PEEK,
	CONNECTION_CONNECT,
	CONNECTION_ANSWER,
	CONNECTION_RELAY,
	CONNECTION_DONE,
};

enum connection_event {
	CONNECTION_PEEKED,    /* the hints are final, or the wait for them is over */
	CONNECTION_CONNECTED, /* the gateway accepted */
	CONNECTION_ACCEPTED,  /* it answered 2xx */
	CONNECTION_FAILED,    /* gateway or client failed, whatever the state */
	CONNECTION_ENDED,     /* both directions are closed */
};

enum connection_action {
	CONNECTION_WAIT,  /* nothing to do now */
	CONNECTION_SEND,  /* send the CONNECT request */
	CONNECTION_PASS,  /* start the relay */
	CONNECTION_RESET, /* close with RST */
	CONNECTION_CLOSE, /* close */
};

struct connection_machine {
	enum connection_state state;
	bool connected;
	bool tls; /* from RELAY on: TLS ends here, connection->tls relays */
};

/* Advances the machine, zero-initialised at first, and says what to do. Events that have no place
 * in a state change nothing. */
enum connection_action connection_step(struct connection_machine *machine,
				       enum connection_event event);

/* What can go wrong often, and is logged once a second at most. */
enum connection_complaint {
	COMPLAINT_CONNECT,
	COMPLAINT_CONNECT_TIMEOUT,
	COMPLAINT_ANSWER_TIMEOUT,
	COMPLAINT_ANSWER_EOF,
	COMPLAINT_ANSWER_GARBAGE,
	COMPLAINT_REFUSED,
	COMPLAINT_SOCKET,
	COMPLAINT_LIMIT,
	COMPLAINT_DESCRIPTORS,
	COMPLAINT_DNS,
	COMPLAINT_TLS,
	COMPLAINTS,
};

/* What the threads of one proxy share. */
struct connection_shared {
	struct proxy_config config; /* but for the gateway constant */
	pthread_mutex_t gateway_lock;
	struct socket_address gateway;
	atomic_uint generation; /* of the gateway */
	atomic_uint live;	/* connections of all threads */
	atomic_bool draining;
	struct complaint complaints[COMPLAINTS];
};

struct connection;

/* Where TLS ends, see connection_tls_decide(). */
enum connection_intercept {
	INTERCEPT_NEVER, /* not here: bytes are relayed as they are */
	INTERCEPT_TLS,	 /* here */
	INTERCEPT_QUIET, /* here, if the application is the first to speak and speaks TLS */
};

/* One thread's part. Counters have one writer; others read them by atomic loads. */
struct connection_worker {
	struct connection_shared *shared;
	struct loop *loop;
	struct relay_pool *pool;
	struct tls_relay_pool *tls; /* NULL: TLS is relayed as it is */
	struct dialer dialer;
	struct loop_timer_class peek_class, peek_total_class, answer_class, flow_class;
	struct socket_address gateway; /* this thread's copy */
	unsigned int generation;
	struct proxy_counters counters;
	struct connection *connections;
	/* A connection ended. May be NULL. */
	void (*ended)(struct connection_worker *worker);
};

/* Adds to one of worker->counters. */
static inline void counter_add(uint64_t *counter, uint64_t number)
{
	__atomic_store_n(counter, *counter + number, __ATOMIC_RELAXED);
}

/* Sets up the rest of a zero-initialised worker whose shared, loop and pool are set. Returns 0 or
 * -ENOMEM. */
int connection_worker_init(struct connection_worker *worker);

/* Frees what connection_worker_init() made; all connections have ended, the loop does not run. */
void connection_worker_release(struct connection_worker *worker);

/* Takes over an accepted, nonblocking socket, whose getsockname() is the original destination.
 * It was counted in shared->live already; that is undone at its end. */
void connection_accept(struct connection_worker *worker, int fd,
		       const struct sockaddr_storage *source);

/* Resets an accepted socket that there is no room for; it was not counted in shared->live. */
void connection_refuse(struct connection_worker *worker, int fd,
		       const struct sockaddr_storage *source);

/* Resets all connections of the worker; from the loop's thread, outside of event handlers. */
void connection_reset_all(struct connection_worker *worker);

/* State of the time before RELAY; freed then. */
struct connection_handshake {
	struct connection *connection;
	struct hints hints;
	char *peeked;
	size_t peeked_size;
	struct loop_timer peek_timer, step_timer;
	struct tunnel_answer answer;
	char request[TUNNEL_REQUEST_MAX];
	size_t request_size, request_sent;
	struct dial dial;
	struct socket_address address; /* that was dialed */
	unsigned int generation;       /* of the gateway that was dialed */
	char gateway[128];	       /* its name for messages */
	enum connection_intercept intercept;
	bool final; /* the hints are: no further byte can change them */
	struct loop_task redial;
};

struct connection {
	struct connection_worker *worker;
	struct connection *next, *previous;
	struct connection_machine machine;
	union {
		struct connection_handshake *handshake; /* NULL from RELAY on, unless machine.tls */
		struct tls_relay *tls;			/* from RELAY on, with machine.tls */
	};
	struct relay relay; /* side 0: application, 1: gateway */
	struct flow flow;
	struct loop_timer flow_timer;
	struct loop_task release;
};

/* Between connection.c, connection_gateway.c and connection_tls.c: an event happened, do what
 * follows. */
void connection_handle(struct connection *connection, enum connection_event event);

/* Starts to connect to the gateway. Failures are handled as CONNECTION_FAILED. */
void connection_dial(struct connection *connection);

/* Sends the CONNECT request, or what is left of it. */
void connection_send_request(struct connection *connection);

/* Reads what the application has sent so far, into handshake->peeked. True when the peek is over;
 * negative *@ret_error: the socket failed. */
bool connection_peek(struct connection *connection, int *ret_error);

/* Frees the state before RELAY, if the connection still has it. */
void connection_handshake_free(struct connection *connection);

/* Decides handshake->intercept once the gateway has answered with @status. 0 or negative errno: the
 * application's socket has failed. */
int connection_tls_decide(struct connection *connection, int status);

/* At the start of RELAY, instead of relay_start(): terminates TLS, or waits for who speaks first.
 */
void connection_tls_start(struct connection *connection);

#endif
