// SPDX-License-Identifier: Apache-2.0
#include "steering/plan_inner.h"

static bool has_default(const struct plan_input *input, uint32_t ifindex)
{
	size_t i;

	for (i = 0; i < input->route_count; i++)
		if (input->routes[i].ifindex == ifindex && plan_is_foreign(&input->routes[i]) &&
		    prefix_is_default(&input->routes[i].destination))
			return true;
	return false;
}

bool plan_inner_has_default(const struct plan_input *input, const struct netlink_link *link)
{
	return has_default(input, link->ifindex) ||
	       (link->master && has_default(input, link->master));
}

/* Whether the device stands on a namespace that an uplink leads to. */
static bool leads_outside(const struct plan_input *input, const struct netlink_link *link)
{
	size_t i;

	for (i = 0; i < input->outer_count; i++)
		if (input->outer[i] == link->peer_nsid)
			return true;
	return false;
}

/* Frames that leave by such a port come to this namespace again, or to one inside. A TAP device's
 * come to a process, which is a virtual machine, or sends by sockets of its own. */
static bool is_inner_port(const struct plan_input *input, const struct netlink_link *port)
{
	return port->tun || (port->veth && !leads_outside(input, port));
}

static bool is_inner_bridge(const struct plan_input *input, const struct netlink_link *bridge)
{
	size_t i;

	for (i = 0; i < input->link_count; i++)
		if (input->links[i].master == bridge->ifindex &&
		    !is_inner_port(input, &input->links[i]))
			return false;
	return true;
}

bool plan_inner_is(const struct plan_input *input, const struct netlink_link *link)
{
	if (link->loopback || !link->ethernet || link->master || has_default(input, link->ifindex))
		return false;
	if (link->veth)
		return link->peer_nsid >= 0 && !leads_outside(input, link);
	return link->bridge && is_inner_bridge(input, link);
}

bool plan_inner_is_port(const struct plan_input *input, const struct netlink_link *link)
{
	const struct netlink_link *master = link->master ? plan_input_link(input, link->master)
							 : NULL;

	return master && plan_inner_is(input, master);
}

bool plan_inner_route(const struct plan_input *input, const struct netlink_route *route)
{
	const struct netlink_link *link;

	if (!input->inner || !plan_is_main(route) || route->has_gateway ||
	    prefix_is_default(&route->destination) || plan_input_advertised(input, route))
		return false;
	link = plan_input_link(input, route->ifindex);
	return link && plan_inner_is(input, link);
}
