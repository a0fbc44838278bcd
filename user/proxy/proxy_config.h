/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy's configuration, callbacks and counters. */
#ifndef SIDESTEP_PROXY_CONFIG_H
#define SIDESTEP_PROXY_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/socket_address.h"
#include "proto/tunnel.h"
#include "stream/dial.h"
#include "stream/flow.h"

struct events;
struct policy;
struct tls_authority;

/* Callbacks of the proxy's owner. They are called from worker threads and must not block. Any may
 * be NULL. */
struct proxy_hooks {
	void *context;
	/* The flow was accepted. Sets its opener, if it is known. */
	void (*flow_open)(void *context, struct flow *flow);
	/* The flow has lived for a second, or its byte counters have moved since. At most once a
	 * second for each flow. */
	void (*flow_update)(void *context, const struct flow *flow);
	/* The flow has ended in any way. Called exactly once for each accepted connection. */
	void (*flow_close)(void *context, const struct flow *flow);
};

/* Tells which connections the proxy carries straight to their destination. */
struct proxy_exemption {
	/* Called from worker threads. NULL: none. */
	bool (*owns)(void *context, const struct flow *flow);
	void *context;
	const char *origin; /* a constant: the options, for events */
};

struct proxy_config {
	unsigned int threads;	      /* event loops, 1..64 */
	unsigned int max_connections; /* of all threads together; above it: accept, reset, count */
	unsigned int peek_ms;	      /* wait for the client's first bytes, contract: 50 */
	unsigned int client_first_ms; /* the same where clients speak first, see peek.h */
	unsigned int connect_ms;      /* limit for connecting to the gateway */
	unsigned int answer_ms;	      /* limit for the gateway's answer to CONNECT, 0: none */
	unsigned int peer_ms;	      /* limit for a peer's sign of life, 0: none */
	bool ipv6;		      /* also listen on IPv6 */
	/* Look for a ClientHello and send X-Tls-Sni, and take from DNS answers what hides names. */
	bool sni_hint;
	/* Peek as workerd's contract has it: for peek_ms of silence on every port, and for an HTTP
	 * Host on port 80 alone. */
	bool workerd_peek;
	bool dns;	    /* relay UDP port 53, and judge messages to TCP port 53 */
	bool refuse_direct; /* reset connections to a listener's own address */
	/* The kernel side leads queries to the port of a listener, and leaves their address as it
	 * is. So the listeners have the wildcard address. */
	bool dns_by_port;
	struct socket_address gateway; /* copied; replaced as a whole by proxy_set_gateway() */
	const char *gateway_origin;    /* a constant: who names the gateway, for events */
	/* Judges names (dns_policy.h). The caller's; outlives the proxy. NULL: all are asked of the
	 * resolver. */
	const struct policy *policy;
	enum tunnel_protocol gateway_protocol;
	/* Terminates TLS where the gateway takes plaintext. The caller's; outlives the proxy. NULL:
	 * TLS is relayed as it is. */
	struct tls_authority *tls;
	/* Sees what is terminated. The caller's; outlives the proxy. NULL: nobody does. */
	const struct tls_tap *tap;
	/* Learns of all sockets that send packets. The UDP listeners do, too: their answers leave
	 * from the resolver's address and their own port, which the kernel side makes 53. */
	struct dial_announcer announcer;
	struct proxy_exemption exemption;
	struct proxy_hooks hooks;
	/* Gets an event for each connection at its end. The caller's; outlives the proxy. NULL:
	 * nobody wants them. */
	struct events *events;
	const char *events_hint; /* where people find them, behind a message with others left out */
};

/* Sums over all threads since the start, except @connections. */
struct proxy_counters {
	uint64_t connections;	   /* live now */
	uint64_t accepted;	   /* within the limit of connections */
	uint64_t relayed;	   /* reached the relay phase */
	uint64_t refused_limit;	   /* reset at the connection limit, or without a free fd */
	uint64_t gateway_errors;   /* could not connect, timed out, answered nonsense, vanished */
	uint64_t gateway_refusals; /* answered 300 or above */
	uint64_t bytes_sent;
	uint64_t bytes_received;
	uint64_t dns_queries;
	uint64_t dns_failures;
	uint64_t tls_handshakes; /* with the application, where TLS was terminated */
	uint64_t tls_failures;	 /* those that failed */
};

#endif
