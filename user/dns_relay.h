/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relays steered DNS queries over UDP to the resolver that was asked, and its answers back from
 * that resolver's address, both unchanged. One per event loop.
 */
#ifndef SIDESTEP_DNS_RELAY_H
#define SIDESTEP_DNS_RELAY_H

#include "connection.h"

/* Queries in flight of one relay, at most; the oldest gives way. */
#define DNS_QUERIES_MAX 1024
/* How long a query waits for its answer; ms. */
#define DNS_LIMIT_MS 5000

struct dns_relay;

/* @listeners (-1: none) are bound, transparent and report the original destination
 * (dns_listener_prepare()); they stay the caller's and outlive the relay. Hooks, buffer, loop and
 * counters are the worker's. @queries_max: 1 to DNS_QUERIES_MAX. Returns 0 or negative errno; what
 * *@ret_relay is set to is to be freed in either case. */
int dns_relay_new(struct connection_worker *worker, const int listeners[2],
		  unsigned int queries_max, struct dns_relay **ret_relay);

/* Drops what is in flight; its memory goes with loop_flush(). After the loop has run. NULL is
 * allowed. */
void dns_relay_free(struct dns_relay *relay);

/* Has a UDP socket report each datagram's original destination (ip(7) IP_RECVORIGDSTADDR).
 * Returns 0 or negative errno. */
int dns_listener_prepare(int fd, int family);

#endif
