/* SPDX-License-Identifier: Apache-2.0 */
/* A proxy with plain clients, and a gateway that the test plays step by step. A client connects to
 * the listener, which becomes the destination. Needs CAP_NET_ADMIN. */
#ifndef SIDESTEP_TESTS_PROXY_BED_H
#define SIDESTEP_TESTS_PROXY_BED_H

#include <stdatomic.h>
#include <stddef.h>

#include "lib/address.h"
#include "proxy/proxy.h"

extern const struct proxy_config proxy_bed_defaults;

struct proxy_bed {
	struct proxy *proxy;
	int gateway; /* listens */
	struct endpoint listener;
	char destination[ADDRESS_TEXT_MAX];
	atomic_int owned, closed, closed_updated, updated;
	atomic_ullong sent, received;
};

/* Listens on a port of 127.0.0.1. */
int listen_on(struct endpoint *ret_endpoint);

/* Starts a proxy whose gateway and callbacks are the bed's. */
struct proxy_bed *proxy_bed_new(const struct proxy_config *config);

/* Stops the proxy, which must have had so many @connections, and frees all. */
void proxy_bed_free(struct proxy_bed *bed, int connections);

/* Connects a client. */
int dial(const struct proxy_bed *bed);

/* Accepts a tunnel. Its request must be exactly the contract's, with the header line @hint, and
 * must come with the end of TCP's handshake. */
int tunnel_accept(const struct proxy_bed *bed, int client, const char *hint);

/* Exchanges bytes with both half-closes, and closes both. */
void exchange(int client, int tunnel);

#endif
