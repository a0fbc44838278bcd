/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transparent proxy accepts the connections that the kernel side steers to its listeners. It
 * carries each one to the gateway in an HTTP CONNECT tunnel of its own (RFC 9110 section 9.3.6). It
 * knows nothing of BPF, routes or Docker.
 */
#ifndef SIDESTEP_PROXY_H
#define SIDESTEP_PROXY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "lib/socket_address.h"
#include "stream/dial.h"
#include "stream/flow.h"

struct policy;
struct proxy;
struct tls_authority;

/* Callbacks of the proxy's owner. They are called from worker threads and must not block. Any may
 * be NULL. */
struct proxy_hooks {
	void *context;
	/* The flow has lived for a second, or its byte counters have moved since. At most once a
	 * second for each flow. */
	void (*flow_update)(void *context, const struct flow *flow);
	/* The flow has ended in any way. Called exactly once for each accepted connection. */
	void (*flow_close)(void *context, const struct flow *flow);
};

struct proxy_config {
	unsigned int threads;	       /* event loops, 1..64 */
	unsigned int max_connections;  /* of all threads together; above it: accept, reset, count */
	unsigned int peek_ms;	       /* wait for the client's first bytes, contract: 50 */
	unsigned int connect_ms;       /* limit for connecting to the gateway */
	unsigned int answer_ms;	       /* limit for the gateway's answer to CONNECT, 0: none */
	bool ipv6;		       /* also listen on IPv6 */
	bool sni_hint;		       /* look for a ClientHello and send X-Tls-Sni */
	bool dns;		       /* relay UDP port 53 */
	bool refuse_direct;	       /* reset what connects to a listener's own address */
	struct socket_address gateway; /* copied; replaced as a whole by proxy_set_gateway() */
	/* The names that may be resolved. The caller's; outlives the proxy. NULL: all names, and
	 * DNS is only relayed. */
	const struct policy *policy;
	/* Terminates TLS where the gateway answers 200. The caller's; outlives the proxy. NULL: TLS
	 * is relayed as it is. */
	struct tls_authority *tls;
	/* Learns of all sockets that send packets. The UDP listeners do, too: their answers leave
	 * from the resolver's address and their own port, which the kernel side makes 53. */
	struct dial_announcer announcer;
	struct proxy_hooks hooks;
};

/* Sums over all threads since the start, except @connections. */
struct proxy_counters {
	uint64_t connections; /* live now */
	uint64_t accepted;
	uint64_t relayed;	   /* reached the relay phase */
	uint64_t refused_limit;	   /* reset at the connection limit, or without a free fd */
	uint64_t gateway_errors;   /* could not connect, timed out, answered nonsense */
	uint64_t gateway_refusals; /* answered 300 or above */
	uint64_t bytes_sent;
	uint64_t bytes_received;
	uint64_t dns_queries;
	uint64_t dns_failures;
	uint64_t tls_handshakes; /* with the application, where TLS was terminated */
	uint64_t tls_failures;	 /* those that failed */
};

/*
 * Creates the listeners in the calling thread's network namespace: transparent TCP sockets, and UDP
 * ones with @dns, on 127.0.0.1 and, with @ipv6, on ::1. Each family has a group of SO_REUSEPORT
 * sockets, one per thread. One more TCP group for IPv4 is bound to lo (SO_BINDTODEVICE). It needs
 * CAP_NET_RAW before Linux 5.7, and is left out where it is refused. The rest needs CAP_NET_ADMIN.
 * Nothing is accepted before proxy_start(). Returns 0 or negative errno, logged.
 */
int proxy_new(const struct proxy_config *config, struct proxy **ret_proxy);

/* Returns a listener of the group for @family (AF_INET, AF_INET6) and @type (SOCK_STREAM,
 * SOCK_DGRAM), or of the TCP group that is bound to lo (@lo). It stays the proxy's. -ENOENT: there
 * is none. The kernel picks within the group. */
int proxy_listener(const struct proxy *proxy, int family, int type, bool lo);

/* Opens the sockets for DNS queries in the calling thread's network namespace, and announces them.
 * Before the datapath judges, so that it learns of them all at once; otherwise proxy_start() does
 * it. Returns 0 or negative errno, logged. */
int proxy_open_resolvers(struct proxy *proxy);

/* Starts the threads. They inherit the calling thread's network namespace, in which they dial the
 * gateway, and its capabilities. Returns 0 or negative errno, logged. */
int proxy_start(struct proxy *proxy);

/* Announces all long-lived sockets once more, because the kernel side has changed. Not while the
 * proxy starts or stops. Returns 0 or negative errno, logged. */
int proxy_announce(struct proxy *proxy);

/* Replaces the gateway. Connections that have sent their CONNECT keep the old one. Thread safe. */
void proxy_set_gateway(struct proxy *proxy, const struct socket_address *gateway);

void proxy_counters(const struct proxy *proxy, struct proxy_counters *ret_counters);

/* Resets new connections from now on, waits up to @drain_ms until the running ones have ended, and
 * resets the rest. Stops the threads. */
void proxy_stop(struct proxy *proxy, unsigned int drain_ms);

/* Stops, without a drain if it still runs, and frees. NULL is allowed. */
void proxy_free(struct proxy *proxy);

#endif
