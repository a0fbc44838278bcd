// SPDX-License-Identifier: Apache-2.0
#include "steering/bridge_netns.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "lib/log.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "net/netlink_link.h"
#include "net/netlink_route.h"
#include "steering/plan_routes.h"

#define HOST_NAME  "sidestep0"
#define INNER_NAME "eth0"
/* The most that veth takes: frames of bridges with any MTU must fit. */
#define VETH_MTU 65535
/* Of a DNS answer's fragments: each bridge takes as much (RFC 8200 section 5). */
#define DATAGRAM_MTU 1280

int bridge_netns_enter(const struct bridge_netns *bridge)
{
	int error = netns_enter(bridge->netns_fd);

	return error < 0 ? log_errno(error, "cannot enter the proxy's network namespace") : 0;
}

int bridge_netns_leave(const struct bridge_netns *bridge)
{
	int error = netns_enter(bridge->host_netns_fd);

	return error < 0 ? log_errno(error, "cannot return to the host's network namespace") : 0;
}

/* Packets from the bridge are delivered locally, and packets to containers leave by the veth. The
 * latter route also satisfies rp_filter, whose default is the host's. */
static int install_routes(struct netlink *netlink, int family, uint32_t ifindex)
{
	struct netlink_rule rule = {
		.family = family,
		.priority = PLAN_RULE_STEER,
		.action = FR_ACT_TO_TBL,
		.table = PLAN_TABLE_STEER,
		.input_name = INNER_NAME,
		.protocol = NETLINK_PROTOCOL_SIDESTEP,
	};
	struct netlink_route route = {
		.destination = prefix_default(family),
		.table = PLAN_TABLE_STEER,
		.metric = 1,
		.ifindex = if_nametoindex("lo"),
		.type = RTN_LOCAL,
		.protocol = NETLINK_PROTOCOL_SIDESTEP,
	};
	int error;

	error = netlink_route_replace(netlink, &route);
	if (error == 0)
		error = netlink_rule_add(netlink, &rule);
	if (error < 0)
		return error;
	route.table = RT_TABLE_MAIN;
	route.ifindex = ifindex;
	route.type = RTN_UNICAST;
	error = netlink_route_replace(netlink, &route);
	if (error < 0)
		return error;
	route.table = PLAN_TABLE_DATAGRAMS;
	route.mtu = DATAGRAM_MTU;
	rule.priority = PLAN_RULE_DATAGRAMS;
	rule.table = PLAN_TABLE_DATAGRAMS;
	strncpy(rule.input_name, "lo", sizeof(rule.input_name) - 1); /* sent here */
	rule.ip_protocol = IPPROTO_UDP;
	error = netlink_route_replace(netlink, &route);
	return error < 0 ? error : netlink_rule_add(netlink, &rule);
}

static int configure_inside(void)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;
	uint32_t ifindex = if_nametoindex(INNER_NAME);
	int error;

	error = netlink_open(&netlink);
	if (error == 0)
		error = netlink_link_up(netlink, if_nametoindex("lo"), false);
	/* Nobody answers ARP or neighbour discovery here. The programs on the host write the
	 * frames' addresses. A router solicitation would count as an answer for no client. */
	if (error == 0)
		(void)netlink_link_keep_quiet6(netlink, ifindex);
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

static int make_veth(struct bridge_netns *bridge)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;
	int error;

	error = netlink_open(&netlink);
	if (error < 0)
		return log_errno(error, "cannot open a netlink socket");
	error = netlink_veth_create(netlink, HOST_NAME, INNER_NAME, bridge->netns_fd, VETH_MTU);
	/* It is a killed predecessor's, whose namespace the kernel takes down in the background.
	 * The instance lock excludes any other owner. */
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

int bridge_netns_open(struct bridge_netns *ret_bridge)
{
	struct bridge_netns bridge = {.netns_fd = -1, .host_netns_fd = -1};
	int error;

	bridge.host_netns_fd = netns_open_own();
	if (bridge.host_netns_fd < 0)
		return log_errno(bridge.host_netns_fd, "cannot open the network namespace");
	bridge.netns_fd = netns_new();
	if (bridge.netns_fd < 0) {
		error = log_errno(bridge.netns_fd,
				  "cannot make a network namespace for the proxy: bridge "
				  "mode needs CAP_SYS_ADMIN at start (--privileged)");
		bridge_netns_close(&bridge);
		return error;
	}
	error = bridge_netns_leave(&bridge);
	if (error == 0)
		error = make_veth(&bridge);
	if (error == 0)
		error = bridge_netns_enter(&bridge);
	if (error == 0) {
		error = configure_inside();
		if (bridge_netns_leave(&bridge) < 0)
			error = -EIO;
	}
	if (error < 0) {
		bridge_netns_close(&bridge);
		return error;
	}
	*ret_bridge = bridge;
	return 0;
}

void bridge_netns_close(struct bridge_netns *bridge)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;

	/* It would disappear with its namespace, but only later. */
	if (bridge->veth_ifindex && netlink_open(&netlink) == 0)
		(void)netlink_link_delete(netlink, bridge->veth_ifindex);
	bridge->netns_fd = safe_close(bridge->netns_fd);
	bridge->host_netns_fd = safe_close(bridge->host_netns_fd);
	bridge->veth_ifindex = 0;
}
