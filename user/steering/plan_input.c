// SPDX-License-Identifier: Apache-2.0
#include "steering/plan_input.h"

#include <string.h>
#include <linux/rtnetlink.h>

const struct netlink_link *plan_input_link(const struct plan_input *input, uint32_t ifindex)
{
	size_t i;

	for (i = 0; i < input->link_count; i++)
		if (input->links[i].ifindex == ifindex)
			return &input->links[i];
	return NULL;
}

bool plan_is_main(const struct netlink_route *route)
{
	return route->table == RT_TABLE_MAIN && route->type == RTN_UNICAST;
}

static bool is_subnet_of(const struct netlink_route *route, const struct netlink_address *address)
{
	return address->ifindex == route->ifindex &&
	       address->subnet.length == route->destination.length &&
	       prefix_contains(&route->destination, address->subnet.address);
}

bool plan_input_connected(const struct plan_input *input, const struct netlink_route *route)
{
	size_t i;

	if (!plan_is_main(route) || route->protocol != RTPROT_KERNEL || route->has_gateway ||
	    prefix_is_default(&route->destination))
		return false;
	for (i = 0; i < input->address_count; i++)
		if (input->addresses[i].configured && is_subnet_of(route, &input->addresses[i]))
			return true;
	return false;
}

bool plan_input_advertised(const struct plan_input *input, const struct netlink_route *route)
{
	return plan_is_main(route) && !address_is_ipv4(route->destination.address) &&
	       (route->protocol == RTPROT_RA || route->protocol == RTPROT_KERNEL) &&
	       !plan_input_connected(input, route);
}

static bool has_configured_default(const struct plan_input *input)
{
	size_t i;

	for (i = 0; i < input->route_count; i++) {
		const struct netlink_route *route = &input->routes[i];

		if (plan_is_main(route) && prefix_is_default(&route->destination) &&
		    !address_is_ipv4(route->destination.address) &&
		    !plan_input_advertised(input, route))
			return true;
	}
	return false;
}

bool plan_input_needs_no_router(const struct plan_input *input, const struct netlink_link *link)
{
	size_t i;

	for (i = 0; i < input->address_count; i++) {
		const struct netlink_address *address = &input->addresses[i];

		if (address->ifindex == link->ifindex && address->configured &&
		    !address->link_local && !address_is_ipv4(address->address))
			return has_configured_default(input);
	}
	return false;
}

bool plan_input_device_source(const struct plan_input *input, int family, uint32_t ifindex,
			      uint8_t source[16])
{
	size_t i;

	for (i = 0; i < input->address_count; i++) {
		const struct netlink_address *address = &input->addresses[i];
		const struct netlink_link *link = plan_input_link(input, address->ifindex);

		if (address->link_local || address->tentative || !link || link->loopback ||
		    (ifindex && address->ifindex != ifindex) ||
		    address_is_ipv4(address->address) != (family == AF_INET))
			continue;
		memcpy(source, address->address, 16);
		return true;
	}
	return false;
}

uint32_t plan_input_mtu(const struct plan_input *input, const struct netlink_route *route)
{
	const struct netlink_link *link = plan_input_link(input, route->ifindex);

	return route->mtu ? route->mtu : link ? link->mtu : 0;
}

bool plan_is_foreign(const struct netlink_route *route)
{
	return route->table != RT_TABLE_LOCAL && route->type == RTN_UNICAST &&
	       route->protocol != NETLINK_PROTOCOL_SIDESTEP;
}

uint32_t plan_input_least_mtu(const struct plan_input *input, int family)
{
	bool has_default = false;
	uint32_t least = 0;
	size_t i;

	for (i = 0; i < input->route_count; i++) {
		const struct netlink_route *route = &input->routes[i];
		uint32_t mtu = plan_input_mtu(input, route);

		if (!plan_is_foreign(route) ||
		    address_is_ipv4(route->destination.address) != (family == AF_INET))
			continue;
		/* Only the first default route of the main table is used, and its other routes are
		 * captured each with its own MTU. */
		if (plan_is_main(route)) {
			if (has_default || !prefix_is_default(&route->destination))
				continue;
			has_default = true;
		}
		if (mtu && (!least || mtu < least))
			least = mtu;
	}
	return least;
}
