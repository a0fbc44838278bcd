// SPDX-License-Identifier: Apache-2.0
#include "steering/bridge_netns.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <linux/rtnetlink.h>

#include "lib/log.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "net/netlink_link.h"
#include "net/netlink_route.h"
#include "steering/plan.h"

#define HOST_NAME  "sidestep0"
#define INNER_NAME "eth0"
/* Whatever the bridge's MTU is, its frames must fit. The most that veth takes. */
#define VETH_MTU 65535

int bridge_enter(const struct bridge *bridge)
{
	int error = netns_enter(bridge->netns_fd);

	return error < 0 ? log_errno(error, "cannot enter the proxy's network namespace") : 0;
}

int bridge_leave(const struct bridge *bridge)
{
	int error = netns_enter(bridge->host_netns_fd);

	return error < 0 ? log_errno(error, "cannot return to the host's network namespace") : 0;
}

/* What comes from the bridge is delivered here; what goes to containers leaves by the veth. The
 * latter route also satisfies rp_filter, whatever the host's default for it is. */
static int install_routes(struct netlink *netlink, int family, uint32_t ifindex)
{
	struct netlink_rule rule = {
		.family = family,
		.priority = PLAN_RULE_STEER,
		.table = PLAN_TABLE_STEER,
		.input_name = INNER_NAME,
		.protocol = NETLINK_PROTOCOL_SIDESTEP,
	};
	struct netlink_route route = {
		.destination = {.length = 0},
		.table = PLAN_TABLE_STEER,
		.metric = 1,
		.ifindex = if_nametoindex("lo"),
		.type = RTN_LOCAL,
		.protocol = NETLINK_PROTOCOL_SIDESTEP,
	};
	int error;

	if (family == AF_INET) {
		route.destination.address[10] = route.destination.address[11] = 0xff;
		route.destination.length = 96;
	}
	error = netlink_route_replace(netlink, &route);
	if (error == 0)
		error = netlink_rule_add(netlink, &rule);
	if (error < 0)
		return error;
	route.table = RT_TABLE_MAIN;
	route.ifindex = ifindex;
	route.type = RTN_UNICAST;
	return netlink_route_replace(netlink, &route);
}

static int configure_inside(void)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;
	uint32_t ifindex = if_nametoindex(INNER_NAME);
	int error;

	error = netlink_open(&netlink);
	if (error == 0)
		error = netlink_link_up(netlink, if_nametoindex("lo"), false);
	/* Nobody answers ARP or neighbour discovery here: the programs on the host do the rest. */
	if (error == 0)
		error = netlink_link_up(netlink, ifindex, true);
	if (error == 0)
		error = install_routes(netlink, AF_INET, ifindex);
	if (error < 0)
		return log_errno(error, "cannot set up the proxy's network namespace");
	error = install_routes(netlink, AF_INET6, ifindex);
	if (error < 0)
		log_warning("IPv6 is not available for steering: %s", strerror(-error));
	return 0;
}

static int make_veth(struct bridge *bridge)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;
	int error;

	error = netlink_open(&netlink);
	if (error < 0)
		return log_errno(error, "cannot open a netlink socket");
	error = netlink_veth_create(netlink, HOST_NAME, INNER_NAME, bridge->netns_fd, VETH_MTU);
	/* A killed predecessor's: its namespace is taken down in the background. That it is nobody
	 * else's now, the instance lock says. */
	if (error == -EEXIST) {
		(void)netlink_link_delete(netlink, if_nametoindex(HOST_NAME));
		error = netlink_veth_create(netlink, HOST_NAME, INNER_NAME, bridge->netns_fd,
					    VETH_MTU);
	}
	if (error < 0)
		return log_errno(error, "cannot make the veth pair %s", HOST_NAME);
	bridge->veth_ifindex = if_nametoindex(HOST_NAME);
	error = netlink_link_up(netlink, bridge->veth_ifindex, true);
	if (error < 0)
		return log_errno(error, "cannot set %s up", HOST_NAME);
	return 0;
}

int bridge_open(struct bridge *ret_bridge)
{
	struct bridge bridge = {.netns_fd = -1, .host_netns_fd = -1};
	int error;

	bridge.host_netns_fd = netns_open_own();
	if (bridge.host_netns_fd < 0)
		return log_errno(bridge.host_netns_fd, "cannot open the network namespace");
	bridge.netns_fd = netns_new();
	if (bridge.netns_fd < 0) {
		error = log_errno(bridge.netns_fd,
				  "cannot make a network namespace for the proxy: bridge "
				  "mode needs CAP_SYS_ADMIN at start (--privileged)");
		bridge_close(&bridge);
		return error;
	}
	error = bridge_leave(&bridge);
	if (error == 0)
		error = make_veth(&bridge);
	if (error == 0)
		error = bridge_enter(&bridge);
	if (error == 0) {
		error = configure_inside();
		if (bridge_leave(&bridge) < 0)
			error = -EIO;
	}
	if (error < 0) {
		bridge_close(&bridge);
		return error;
	}
	*ret_bridge = bridge;
	return 0;
}

void bridge_close(struct bridge *bridge)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;

	/* It would go with its namespace, but not at once. */
	if (bridge->veth_ifindex && netlink_open(&netlink) == 0)
		(void)netlink_link_delete(netlink, bridge->veth_ifindex);
	bridge->netns_fd = safe_close(bridge->netns_fd);
	bridge->host_netns_fd = safe_close(bridge->host_netns_fd);
	bridge->veth_ifindex = 0;
}
