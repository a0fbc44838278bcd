// SPDX-License-Identifier: Apache-2.0
#include "steering/snapshot.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <linux/rtnetlink.h>

#include "lib/log.h"
#include "lib/util.h"

#define LINKS_MAX     4096
#define ADDRESSES_MAX 8192
/* Each bypassed subnet has routes of the kernel's in two tables, and one of ours in up to six. */
#define ROUTES_MAX (8 * SIDESTEP_MAX_BYPASS)
#define RULES_MAX  8192

/* An interrupted dump is repeated at most so often, after pauses of 1, 2, 4, ... ms. */
#define DUMP_TRIES 9

static int collect_link(void *context, const struct netlink_link *link)
{
	return array_append(&((struct snapshot *)context)->links, link);
}

static int collect_address(void *context, const struct netlink_address *address)
{
	return array_append(&((struct snapshot *)context)->addresses, address);
}

static int collect_route(void *context, const struct netlink_route *route)
{
	return array_append(&((struct snapshot *)context)->routes, route);
}

static int collect_rule(void *context, const struct netlink_rule *rule)
{
	struct snapshot *snapshot = context;
	bool own = rule->protocol == NETLINK_PROTOCOL_SIDESTEP;

	return array_append(own ? &snapshot->rules : &snapshot->others, rule);
}

void snapshot_release(struct snapshot *snapshot)
{
	free(snapshot->links.items);
	free(snapshot->addresses.items);
	free(snapshot->routes.items);
	free(snapshot->rules.items);
	free(snapshot->others.items);
}

struct plan_input snapshot_input(const struct snapshot *snapshot)
{
	return (struct plan_input) {
		.links = snapshot->links.items,
		.link_count = snapshot->links.count,
		.addresses = snapshot->addresses.items,
		.address_count = snapshot->addresses.count,
		.routes = snapshot->routes.items,
		.route_count = snapshot->routes.count,
		.others = snapshot->others.items,
		.other_count = snapshot->others.count,
	};
}

static int snapshot_try(struct netlink *netlink, struct snapshot *snapshot)
{
	static const int families[] = {AF_INET, AF_INET6};
	size_t i;
	int error;

	*snapshot = (struct snapshot) {
		.links = {.limit = LINKS_MAX, .size = sizeof(struct netlink_link)},
		.addresses = {.limit = ADDRESSES_MAX, .size = sizeof(struct netlink_address)},
		.routes = {.limit = ROUTES_MAX, .size = sizeof(struct netlink_route)},
		.rules = {.limit = RULES_MAX, .size = sizeof(struct netlink_rule)},
		.others = {.limit = RULES_MAX, .size = sizeof(struct netlink_rule)},
	};
	error = netlink_dump_links(netlink, collect_link, snapshot);
	for (i = 0; i < ARRAY_SIZE(families) && error == 0; i++) {
		error = netlink_dump_routes(netlink, families[i], collect_route, snapshot);
		if (error == 0)
			error = netlink_dump_rules(netlink, families[i], collect_rule, snapshot);
		/* A kernel without IPv6 has no such tables. */
		if (families[i] == AF_INET6 && (error == -EAFNOSUPPORT || error == -EOPNOTSUPP))
			error = 0;
	}
	/* The kernel adds an address before its route. So each route finds its address here, and
	 * does not look like an advertised one. */
	if (error == 0)
		error = netlink_dump_addresses(netlink, collect_address, snapshot);
	return error;
}

int snapshot_take(struct netlink *netlink, struct snapshot *ret_snapshot)
{
	int error, i;

	for (i = 0; i < DUMP_TRIES; i++) {
		error = snapshot_try(netlink, ret_snapshot);
		if (error >= 0)
			return 0;
		snapshot_release(ret_snapshot);
		if (error != -EINTR)
			break;
		(void)poll(NULL, 0, 1 << i);
	}
	return log_errno(error, "cannot list links, addresses, routes and rules of the network "
				"namespace");
}

const struct netlink_link *snapshot_link(const struct snapshot *snapshot, uint32_t ifindex)
{
	const struct netlink_link *links = snapshot->links.items;
	size_t i;

	for (i = 0; i < snapshot->links.count; i++)
		if (links[i].ifindex == ifindex)
			return &links[i];
	return NULL;
}

int snapshot_adopt(const struct snapshot *snapshot, struct plan *applied)
{
	const struct netlink_route *routes = snapshot->routes.items;
	const struct netlink_rule *rules = snapshot->rules.items;
	size_t i;

	if (plan_reserve(applied, PLAN_ROUTE, snapshot->routes.count) < 0 ||
	    plan_reserve(applied, PLAN_RULE, snapshot->rules.count) < 0)
		return -ENOMEM;
	for (i = 0; i < snapshot->routes.count; i++) {
		struct netlink_route *route;

		if (routes[i].protocol != NETLINK_PROTOCOL_SIDESTEP)
			continue;
		route = plan_append(applied, PLAN_ROUTE);
		*route = routes[i];
		/* The kernel lists these IPv6 routes with lo, which they were added without. */
		if (route->type == RTN_UNREACHABLE || route->type == RTN_PROHIBIT ||
		    route->type == RTN_THROW)
			route->ifindex = 0;
	}
	for (i = 0; i < snapshot->rules.count; i++)
		*(struct netlink_rule *)plan_append(applied, PLAN_RULE) = rules[i];
	plan_tidy(applied, PLAN_ROUTE);
	plan_tidy(applied, PLAN_RULE);
	return 0;
}
