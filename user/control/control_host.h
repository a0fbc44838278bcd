/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells whether a peer of the control API is the host of this container.
 *
 * The host is the gateway of the namespace's default route, which Docker sets to the host's address
 * on the network. Clients of a published port have that address (docker-proxy), or keep their own,
 * and their packets come by the gateway (DNAT). So a peer is taken for the host, or for somebody
 * whom the host lets through, if the next hop towards it is that gateway. Neighbours on the network
 * are their own next hop.
 *
 * control_origin.c also compares MAC addresses, because a neighbour may have addresses elsewhere.
 *
 * A route that a neighbour may have announced (RTPROT_RA, RTPROT_REDIRECT) names no gateway. On a
 * network without a default route (docker network create --internal) nobody is the host.
 */
#ifndef SIDESTEP_CONTROL_HOST_H
#define SIDESTEP_CONTROL_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/netlink_route.h"

/* The routes of the main table. Zero-initialised. */
struct control_host {
	struct netlink_route *routes;
	size_t count, room;
};

/* The first forgets the routes, the second also frees their memory. */
void control_host_clear(struct control_host *host);
void control_host_free(struct control_host *host);

/* Adds a route if it is one of the main table: a visitor for netlink_dump_routes(). @context is
 * the struct control_host. Returns 0, -ENOMEM or -E2BIG. */
int control_host_add(void *context, const struct netlink_route *route);

/* Returns the default route whose gateway is the next hop towards @peer. NULL: there is none, and
 * *@ret_why describes the peer (static text). @scope: the device of a link-local address, or 0. */
const struct netlink_route *control_host_route(const struct control_host *host,
					       const uint8_t peer[16], uint32_t scope,
					       const char **ret_why);

#endif
