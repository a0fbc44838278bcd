// SPDX-License-Identifier: Apache-2.0
#include "control/control_host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/rtnetlink.h>

/* Most routes of a main table. With more, all requests are refused. */
#define ROUTES_MAX 16384

void control_host_clear(struct control_host *host)
{
	host->count = 0;
}

void control_host_free(struct control_host *host)
{
	free(host->routes);
	*host = (struct control_host) {0};
}

int control_host_add(void *context, const struct netlink_route *route)
{
	struct control_host *host = context;
	size_t room = host->room ? 2 * host->room : 16;
	struct netlink_route *routes;

	if (route->table != RT_TABLE_MAIN)
		return 0;
	if (host->count == ROUTES_MAX)
		return -E2BIG;
	if (host->count == host->room) {
		routes = reallocarray(host->routes, room, sizeof(*routes));
		if (!routes)
			return -ENOMEM;
		host->routes = routes;
		host->room = room;
	}
	host->routes[host->count++] = *route;
	return 0;
}

static bool is_configured_gateway(const struct netlink_route *route)
{
	return prefix_is_default(&route->destination) && route->type == RTN_UNICAST &&
	       route->has_gateway && route->protocol != RTPROT_RA &&
	       route->protocol != RTPROT_REDIRECT;
}

static bool is_better(const struct netlink_route *route, const struct netlink_route *than)
{
	if (!than || route->destination.length != than->destination.length)
		return !than || route->destination.length > than->destination.length;
	return route->metric < than->metric;
}

/* The kernel's choice: the longest prefix, then the lowest metric. NULL: there is no route. */
static const struct netlink_route *route_towards(const struct control_host *host,
						 const uint8_t peer[16], uint32_t scope)
{
	const struct netlink_route *best = NULL;
	bool ipv4 = address_is_ipv4(peer);
	size_t i;

	for (i = 0; i < host->count; i++) {
		const struct netlink_route *route = &host->routes[i];

		if (address_is_ipv4(route->destination.address) != ipv4 ||
		    (scope && route->ifindex != scope) ||
		    !prefix_contains(&route->destination, peer))
			continue;
		if (is_better(route, best))
			best = route;
	}
	return best;
}

const struct netlink_route *control_host_route(const struct control_host *host,
					       const uint8_t peer[16], uint32_t scope,
					       const char **ret_why)
{
	const struct netlink_route *route = route_towards(host, peer, scope);
	const uint8_t *hop;
	size_t i;

	*ret_why = "a network whose host is not known, for want of a default route";
	if (!route)
		return NULL;
	hop = route->has_gateway ? route->gateway : peer;
	for (i = 0; i < host->count; i++) {
		const struct netlink_route *candidate = &host->routes[i];

		if (!is_configured_gateway(candidate) ||
		    address_is_ipv4(candidate->gateway) != address_is_ipv4(peer))
			continue;
		*ret_why = "a neighbour on the network, not from the default route's gateway";
		if (route->type == RTN_UNICAST && route->ifindex == candidate->ifindex &&
		    memcmp(candidate->gateway, hop, 16) == 0)
			return candidate;
	}
	return NULL;
}
