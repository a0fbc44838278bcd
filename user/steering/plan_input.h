/* SPDX-License-Identifier: Apache-2.0 */
/* A plan's input: the state of the namespace and of Docker, and the options. Pure, no I/O. */
#ifndef SIDESTEP_PLAN_INPUT_H
#define SIDESTEP_PLAN_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/bypass_origin.h"
#include "lib/address.h"
#include "net/netlink_link.h"
#include "net/netlink_route.h"
#include "sidestep.h"

/* A prefix that somebody gave. */
struct plan_given {
	struct prefix prefix;
	enum bypass_option option;	  /* of an option */
	char network[BYPASS_NETWORK_MAX]; /* of Docker: the network's name */
};

/* The arrays are the caller's. */
struct plan_input {
	enum sidestep_mode mode;
	const struct netlink_link *links;
	size_t link_count;
	const struct netlink_address *addresses;
	size_t address_count;
	const struct netlink_route *routes; /* of all tables and both families */
	size_t route_count;
	const struct netlink_rule *others; /* rules that are not ours, in the kernel's order */
	size_t other_count;
	const struct plan_given *options; /* --bypass and the like */
	size_t option_count;
	const struct plan_given *docker; /* subnets of Docker's bridge networks */
	size_t docker_count;
	const char *const *bridges; /* bridge mode: interfaces to steer */
	size_t bridge_count;
	bool closed;		      /* nobody steers yet: unreachable instead of steered */
	bool ipv6_refused;	      /* unreachable, unless a device is asked for */
	uint32_t out_mark;	      /* packets with it skip all rules of ours; 0: no such rule */
	bool internet_off;	      /* DNS to bypassed subnets is steered, too */
	const struct prefix *gateway; /* bypassed as well; NULL: none */
	bool inner;		      /* what inner devices bring is steered (plan_inner.h) */
	const int32_t *outer;	      /* namespaces that uplinks lead to (netlink_link.peer_nsid) */
	size_t outer_count;
};

/* Returns NULL when there is no such link. */
const struct netlink_link *plan_input_link(const struct plan_input *input, uint32_t ifindex);

/* Finds the source address for connections that leave by a device; 0: by any. Returns false when
 * there is none. */
bool plan_input_device_source(const struct plan_input *input, int family, uint32_t ifindex,
			      uint8_t source[16]);

/* Returns the MTU of packets that take @route, in bytes: the route's or its device's. 0: unknown.
 */
uint32_t plan_input_mtu(const struct plan_input *input, const struct netlink_route *route);

/* Returns the smallest one of a family's routes that lead outside: the main table's default route,
 * and the routes of others' tables. 0: unknown. */
uint32_t plan_input_least_mtu(const struct plan_input *input, int family);

/* Whether it is a unicast route of a table that is neither ours nor the local one. */
bool plan_is_foreign(const struct netlink_route *route);

/* Whether it is a unicast route of the main table. */
bool plan_is_main(const struct netlink_route *route);

/*
 * Whether it is a main route that the kernel made for the subnet of a configured address. The
 * kernel's routes for prefixes that a neighbour advertises look the same (addrconf_prefix_rcv,
 * net/ipv6/addrconf.c), and each of them may be as wide as the internet. So the address decides.
 */
bool plan_input_connected(const struct plan_input *input, const struct netlink_route *route);

/* Whether it is a main route that the kernel or a daemon made for a router's advertisement. */
bool plan_input_advertised(const struct plan_input *input, const struct netlink_route *route);

/* Whether IPv6 works on a device without advertisements: somebody configured an address of it, and
 * a default route by whichever device. */
bool plan_input_needs_no_router(const struct plan_input *input, const struct netlink_link *link);

#endif
