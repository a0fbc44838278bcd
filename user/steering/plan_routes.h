/* SPDX-License-Identifier: Apache-2.0 */
/* The routing part of a plan: routes and rules of a container's namespace. Pure, no I/O. */
#ifndef SIDESTEP_PLAN_ROUTES_H
#define SIDESTEP_PLAN_ROUTES_H

#include "steering/plan_input.h"
#include "steering/plan_lists.h"

/* Routing tables of ours. Each costs one lookup, however many prefixes are bypassed. */
enum plan_table {
	/* Leads prefixes to the proxy that the main table routes off the link. */
	PLAN_TABLE_CAPTURE = 9300,
	/* Leads everything to the proxy, but bypassed prefixes on to the main table (throw). */
	PLAN_TABLE_STEER,
	/* Does the same for sockets that are bound to a device (SO_BINDTODEVICE). */
	PLAN_TABLE_BOUND,
	/* Does the same as PLAN_TABLE_STEER for other protocols than TCP, with the smallest MTU of
	 * the routes that lead outside. So the kernel makes fragments that can leave. */
	PLAN_TABLE_DATAGRAMS,
	/* While the internet is off, DNS finds nothing but the proxy, bypassed or not. */
	PLAN_TABLE_DNS,
	/* Packets from inner devices: bypassed prefixes go on to the main table, others are
	 * refused. The datapath has taken the packets that it steers, and marked those that it lets
	 * out. */
	PLAN_TABLE_INNER,
	/* Leads everything to the proxy: for the packets from inner devices that nftables steers.
	 */
	PLAN_TABLE_INNER_STEER,
};

/* Priorities of our rules. */
enum plan_rule_priority {
	/* Packets with the datapath's out mark go on with PLAN_RULE_OTHERS. */
	PLAN_RULE_OUT = NETLINK_RULES_FIRST,
	/* PLAN_RULE_BOUND where routes are captured: they do not match sockets that are bound to a
	 * device, and the main table's do. */
	PLAN_RULE_BOUND_FIRST,
	PLAN_RULE_DNS, /* port 53 over UDP and TCP, while the internet is off */
	PLAN_RULE_CAPTURE,
	PLAN_RULE_CONNECTED, /* the main table without its default route */
	PLAN_RULE_BOUND,
	PLAN_RULE_STEER,
	PLAN_RULE_DATAGRAMS,
	/* For each inner device. */
	PLAN_RULE_INNER_OUT,   /* packets with the out mark use the main table */
	PLAN_RULE_INNER_STEER, /* those with the steer mark go to the proxy */
	PLAN_RULE_INNER,       /* and no others leave, even if the datapath is gone */
	PLAN_RULE_OTHERS,      /* does nothing; the rules of others come behind it */
};
_Static_assert(PLAN_RULE_OTHERS == NETLINK_RULES_LAST, "all of ours");

/* Fills PLAN_ROUTE for both families. PLAN_BYPASS must be filled. Returns 0 or -ENOMEM. */
int plan_routes_make(const struct plan_input *input, struct plan *plan);

/* Fills PLAN_RULE for both families. PLAN_ROUTE must be filled. Returns 0 or -ENOMEM. */
int plan_routes_rules(const struct plan_input *input, struct plan *plan);

#endif
