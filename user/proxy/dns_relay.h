/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relays steered DNS queries over UDP to the resolver that was asked, and its answers back from
 * that resolver's address, both unchanged but for the ID on the way in between. Where the policy or
 * the resolver's failure asks for it, it answers itself:
 *
 *	internet  resolver's answer	name allowed	not allowed
 *	on	  NXDOMAIN		made up		relayed
 *	on	  any other		relayed		relayed
 *	on	  none, or ICMP error	made up		SERVFAIL
 *	off	  (never asked)		made up		NXDOMAIN
 *
 * Without a policy the internet is on and no name allowed. Malformed queries get FORMERR, opcodes
 * other than QUERY NOTIMP, with the internet on as well: their answers could not be recognised.
 * What has no whole header or is itself an answer is dropped. One relay per event loop.
 *
 * Queries leave from a few sockets that live as long as the relay. Two ways to steer can tell a
 * socket as the proxy's own only by asking another process, which a socket for each query would
 *have to wait for; and a query costs no socket(2), connect(2), epoll_ctl(2) and close(2). So ports
 *do not change, which for who guesses from outside matters little: an answer is taken only from the
 * resolver's address and port, on the socket that its query left from, one of DNS_UPSTREAMS whose
 * ports are random (about 2^15 each) and picked at random for each query, with that query's own
 * random 16-bit ID and its question. A forged answer has to hit a port (unknown; even when all
 * were found out by probing, one in DNS_UPSTREAMS) and the ID: one in 2^19 at least for each
 *packet, while the query is in flight, and what is won is one answer to one client: nothing is
 *cached here. To draw new ports every now and then would not change that. (RFC 5452 sections 4
 *and 9.)
 */
#ifndef SIDESTEP_DNS_RELAY_H
#define SIDESTEP_DNS_RELAY_H

#include "proxy/dns_socket.h"
#include "proxy/worker.h"

/* Queries in flight of all relays of a proxy, at most; the oldest gives way, as if its resolver had
 * failed. About 400 bytes each, taken as they are needed. */
#define DNS_QUERIES_MAX 8192
/* How long a query waits for its answer; ms. Clients commonly wait 5 s (resolv.conf(5)): by then
 * they have ours. */
#define DNS_LIMIT_MS 4500
/* Sockets of one relay for queries, each family. */
#define DNS_UPSTREAMS 8

struct dns_relay;

/*
 * @listeners (IPv4, IPv6; -1: none) are bound, transparent and prepared with
 * dns_listener_prepare(); they stay the caller's and outlive the relay. Hooks, policy, loop and
 * counters are the worker's. @queries_max: 1 to DNS_QUERIES_MAX. Returns 0 or negative errno; what
 * *@ret_relay is set to is to be freed in either case.
 */
int dns_relay_new(struct worker *worker, const int listeners[2], unsigned int queries_max,
		  unsigned int limit_ms, struct dns_relay **ret_relay);

/*
 * Makes the sockets that queries leave from, for the families that have a listener, in the calling
 * thread's network namespace, which in bridge mode is another one than the listeners'. Each is
 * announced to the proxy's announcer. Before the loop runs. Again: does nothing. NULL is allowed.
 * Returns 0 or negative errno.
 */
int dns_relay_open(struct dns_relay *relay);

/* Announces the sockets that dns_relay_open() has opened once more, from any thread. 0 or negative
 * errno. NULL is allowed. */
int dns_relay_announce(struct dns_relay *relay);

/* Drops what is in flight. After the loop has run. NULL is allowed. */
void dns_relay_free(struct dns_relay *relay);

#endif
