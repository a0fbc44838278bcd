/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relays steered DNS queries over UDP to the resolver that was asked, under the policy
 * (dns_policy.h). Answers go back from that resolver's address. Only the ID differs between relay
 * and resolver. A datagram without a whole header is dropped, and so is an answer from the
 * application. Each event loop has one relay.
 *
 * Queries share a few long-lived sockets, because announcing a socket may cost a round trip to
 * another process. A query also saves socket(2), connect(2), epoll_ctl(2) and close(2).
 *
 * So source ports do not change, which helps a forger little (RFC 5452 sections 4 and 9). An answer
 * counts only if it comes from the resolver's address and port and repeats the question. It must
 * also hit the query's socket and its random 16-bit ID. The socket is drawn for each query from
 * DNS_UPSTREAMS. A forger who has found all ports by probing still needs to hit one in 2^19, while
 * the query is in flight. Nothing is cached, so a hit deceives one client once. New ports from time
 * to time would not change that.
 *
 * The ports are above the range of clients' ports (lib/local_ports.h): 4536 by default, where that
 * range has 28232. A forger who knows none of them hits one in 2^28 instead of 2^31. RFC 5452
 * section 9.2 wants as many ports as practicable. Each one is held for as long as the proxy lives,
 * so a server of the application's that wants a clients' port could not start.
 */
#ifndef SIDESTEP_DNS_RELAY_H
#define SIDESTEP_DNS_RELAY_H

#include "proxy/dns_socket.h"
#include "proxy/worker.h"

/* The most queries in flight of all relays of a proxy. Beyond it the oldest fails, as if its
 * resolver had. Each takes about 400 bytes, when it is needed. */
#define DNS_QUERIES_MAX 8192
/* How long a query waits for its answer, ms. Clients commonly wait 5 s (resolv.conf(5)) and so get
 * ours. */
#define DNS_LIMIT_MS 4500
/* Sockets for queries of one relay, for each family. */
#define DNS_UPSTREAMS 8

struct dns_relay;

/*
 * Makes a relay for @listeners (IPv4, IPv6; -1: none). They are bound, transparent and prepared by
 * dns_listener_prepare(), stay the caller's and outlive the relay. Relays of several threads may
 * share them by duplicates. Announcer, policy, loop and
 * counters are the worker's. @queries_max: 1 to DNS_QUERIES_MAX. Returns 0 or negative errno.
 * *@ret_relay is to be freed in either case, unless it was not set.
 */
int dns_relay_new(struct worker *worker, const int listeners[2], unsigned int queries_max,
		  unsigned int limit_ms, struct dns_relay **ret_relay);

/*
 * Opens and announces the sockets for queries, for the families that have a listener. They belong
 * to the calling thread's network namespace, which in bridge mode is not the listeners'. Before the
 * loop runs. NULL is allowed. Returns 0 or negative errno.
 */
int dns_relay_open(struct dns_relay *relay);

/* Announces the sockets for queries once more. From any thread. NULL is allowed. Returns 0 or
 * negative errno. */
int dns_relay_announce(struct dns_relay *relay);

/* Drops the queries in flight and frees. After the loop has run. NULL is allowed. */
void dns_relay_free(struct dns_relay *relay);

#endif
