/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out that the gateway has no IPv6. The proxy accepts a connection before the gateway
 * answers. So an application sees every IPv6 address as reachable, and does not fall back to IPv4
 * (RFC 8305). If it is known that the gateway refuses IPv6, its connections can fail as they begin.
 *
 * The gateway has none if it has refused a few connections and has never opened one.
 */
#ifndef SIDESTEP_IPV6_VERDICT_H
#define SIDESTEP_IPV6_VERDICT_H

#include <stdatomic.h>
#include <stdbool.h>

/* Refusals that make the verdict. */
#define IPV6_VERDICT_REFUSALS 3

/* Shared by the threads of a proxy. Zero-initialised with fd = -1 it is closed. */
struct ipv6_verdict {
	int fd; /* an eventfd, written when the gateway is found to have no IPv6 */
	atomic_uint refusals;
	atomic_bool opened; /* a connection; there is no verdict any more */
};

/* Returns 0 or negative errno. */
int ipv6_verdict_open(struct ipv6_verdict *verdict);
void ipv6_verdict_close(struct ipv6_verdict *verdict);

/* The gateway has opened, or refused, a connection to an IPv6 address. */
void ipv6_verdict_opened(struct ipv6_verdict *verdict);
void ipv6_verdict_refused(struct ipv6_verdict *verdict);

/* Begins anew. @once: after the verdict it may have changed, and one refusal confirms it. Or else
 * the gateway is another one. */
void ipv6_verdict_restart(struct ipv6_verdict *verdict, bool once);

#endif
