// SPDX-License-Identifier: Apache-2.0
#include "steering/advertised.h"

#include <linux/rtnetlink.h>

#include "lib/log.h"
#include "net/netlink_link.h"
#include "net/netlink_route.h"

static bool is_guarded(const struct netlink_link *link)
{
	return link && link->ethernet && !link->loopback;
}

static bool remove_route(struct netlink *netlink, const struct netlink_route *route)
{
	char text[ADDRESS_TEXT_MAX];
	int error = netlink_route_delete(netlink, route);

	log_debug("advertised route %s: %s", prefix_format(&route->destination, text),
		  error < 0 ? "stays" : "removed");
	return error == 0;
}

void advertised_refuse(struct netlink *netlink, struct device_settings *settings, bool inherited,
		       const struct plan_input *input, struct snapshot *snapshot)
{
	struct netlink_route *routes = snapshot->routes.items;
	size_t i;

	for (i = 0; i < input->link_count; i++) {
		const struct netlink_link *link = &input->links[i];

		if (is_guarded(link))
			device_settings_ignore(settings, link,
					       plan_input_needs_no_router(input, link), inherited);
	}
	for (i = 0; i < snapshot->routes.count; i++) {
		const struct netlink_link *link = plan_input_link(input, routes[i].ifindex);

		if (plan_input_advertised(input, &routes[i]) && is_guarded(link) &&
		    plan_input_needs_no_router(input, link) && remove_route(netlink, &routes[i]))
			routes[i].type = RTN_UNSPEC; /* no plan has a use for it */
	}
}
