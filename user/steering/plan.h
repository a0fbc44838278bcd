/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What should be in force: from what is seen of a network namespace and of Docker, and from what
 * was asked for, to the entries of the maps, the routes, the rules and the devices. Pure, no I/O;
 * user/steering/steering.c looks, and applies the difference between two plans.
 */
#ifndef SIDESTEP_PLAN_H
#define SIDESTEP_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/address.h"
#include "net/netlink_link.h"
#include "net/netlink_route.h"
#include "sidestep.h"

#define PLAN_MAX_LINKS	   4096
#define PLAN_MAX_ADDRESSES 8192
#define PLAN_MAX_ROUTES	   8192

/* Routing tables of ours, one lookup each however many prefixes are bypassed. */
enum plan_table {
	/* Prefixes that routes of the main table lead off the link: to the proxy. */
	PLAN_TABLE_CAPTURE = 9300,
	/* Default: to the proxy; bypassed prefixes: on to the main table (throw). */
	PLAN_TABLE_STEER,
	/* The same for sockets that are bound to a device (SO_BINDTODEVICE). */
	PLAN_TABLE_BOUND,
	/* IPv4: says nothing while the anchor is there, and then that all is unreachable. */
	PLAN_TABLE_ALIVE,
};

/* Priorities of ours among the routing rules; right behind the local table's (0). */
enum plan_rule_priority {
	PLAN_RULE_OUT = 99, /* what the datapath has marked as let out: the main table */
	PLAN_RULE_CAPTURE,
	PLAN_RULE_CONNECTED, /* what is left of the main table but its default route */
	PLAN_RULE_BOUND,
	PLAN_RULE_ALIVE,
	PLAN_RULE_STEER,
};

/* What was seen. Arrays are the caller's. */
struct plan_input {
	enum sidestep_mode mode;
	const struct netlink_link *links;
	size_t link_count;
	const struct netlink_address *addresses;
	size_t address_count;
	const struct netlink_route *routes; /* of all tables and both families */
	size_t route_count;
	const struct prefix *options; /* --bypass, --docker-gateway-cidr */
	size_t option_count;
	const struct prefix *docker; /* subnets of Docker's bridge networks */
	size_t docker_count;
	const char *const *bridges; /* bridge mode: interfaces to steer */
	size_t bridge_count;
	uint32_t anchor_ifindex;      /* for IPv4: goes when the process goes (TUN), or lo */
	bool ipv6_refused;	      /* --disable-ipv6: unreachable instead of steered */
	uint32_t out_mark;	      /* packets with it go by the main table; 0: no such rule */
	const struct prefix *gateway; /* bypassed, too; NULL: no */
};

struct plan_bypass {
	struct prefix prefix;
	struct sidestep_bypass value;
};

struct plan_route {
	struct prefix prefix;
	struct sidestep_route value;
};

/* What a plan is made of, in the order in which it is safe to add it; removal goes backwards. */
enum plan_layer {
	PLAN_BYPASS, /* struct plan_bypass: maps bypass4, bypass6 */
	PLAN_EGRESS, /* struct plan_route: maps route4, route6 */
	PLAN_DEVICE, /* uint32_t, ifindex: where the TC programs belong */
	PLAN_ROUTE,  /* struct netlink_route */
	PLAN_RULE,   /* struct netlink_rule */
	PLAN_LAYERS,
};

struct plan_list {
	void *items;
	size_t count;
};

/* Every list is sorted and has no duplicates. Owned by the plan. */
struct plan {
	struct plan_list lists[PLAN_LAYERS];
};

/* Returns 0, -ENOMEM, or -ENOSPC when a limit of include/sidestep.h is passed (logged). */
int plan_make(const struct plan_input *input, struct plan *ret_plan);
void plan_release(struct plan *plan);

/* Sorts a list that was filled otherwise and drops duplicates. */
void plan_tidy(struct plan *plan, enum plan_layer layer);

/*
 * Calls @visit(context, item) for each item of the layer that is in @in and not in @not_in. Goes on
 * after a failure (a negative return of @visit); returns the first of them or 0.
 */
int plan_difference(const struct plan *in, const struct plan *not_in, enum plan_layer layer,
		    int (*visit)(void *, const void *), void *context);

#endif
