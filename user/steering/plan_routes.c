// SPDX-License-Identifier: Apache-2.0
#include "steering/plan_routes.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "lib/util.h"
#include "sidestep.h"
#include "steering/plan_inner.h"
#include "steering/plan_ways.h"

#define DNS_PORT 53

static const int families[] = {AF_INET, AF_INET6};

static struct netlink_route *route_put(struct plan *plan, const struct prefix *destination,
				       uint32_t table, uint8_t type)
{
	struct netlink_route *route = plan_append(plan, PLAN_ROUTE);

	*route = (struct netlink_route) {
		.destination = *destination,
		.table = table,
		.metric = 1,
		.type = type,
		.protocol = NETLINK_PROTOCOL_SIDESTEP,
	};
	return route;
}

static struct netlink_route *route_local(struct plan *plan, const struct prefix *destination,
					 uint32_t table, uint32_t ifindex, const uint8_t source[16])
{
	struct netlink_route *route = route_put(plan, destination, table, RTN_LOCAL);

	route->ifindex = ifindex;
	route->has_source = true;
	memcpy(route->source, source, sizeof(route->source));
	return route;
}

static bool is_bypassed(const struct plan *plan, const struct prefix *prefix)
{
	const struct plan_bypass *bypass = plan->lists[PLAN_BYPASS].items;
	size_t i;

	for (i = 0; i < plan->lists[PLAN_BYPASS].count; i++)
		if (bypass[i].prefix.length <= prefix->length &&
		    prefix_contains(&bypass[i].prefix, prefix->address))
			return true;
	return false;
}

static bool has_inner(const struct plan_input *input)
{
	size_t i;

	for (i = 0; i < input->link_count && input->inner; i++)
		if (plan_inner_is(input, &input->links[i]))
			return true;
	return false;
}

/* Bypassed prefixes leave our tables for the main one. */
static void routes_throw(const struct plan_input *input, struct plan *plan, int family)
{
	static const uint32_t tables[] = {PLAN_TABLE_CAPTURE, PLAN_TABLE_STEER,
					  PLAN_TABLE_DATAGRAMS, PLAN_TABLE_BOUND};
	bool inner = has_inner(input);
	const struct plan_bypass *bypass = plan->lists[PLAN_BYPASS].items;
	size_t i, j;

	for (i = 0; i < plan->lists[PLAN_BYPASS].count; i++, bypass++) {
		/* The local table comes first and has these. */
		if (address_is_ipv4(bypass->prefix.address) != (family == AF_INET) ||
		    (bypass->value.sources & SIDESTEP_FROM_LOCAL))
			continue;
		for (j = 0; j < ARRAY_SIZE(tables); j++)
			(void)route_put(plan, &bypass->prefix, tables[j], RTN_THROW);
		if (inner)
			(void)route_put(plan, &bypass->prefix, PLAN_TABLE_INNER, RTN_THROW);
	}
}

/* Captures the routes of the main table that lead outside: all but its default route and those to
 * connected subnets. */
static void routes_capture(const struct plan_input *input, struct plan *plan, int family,
			   const uint8_t source[16])
{
	uint8_t own[16];
	size_t i;

	for (i = 0; i < input->route_count; i++) {
		const struct netlink_route *route = &input->routes[i];
		const struct netlink_link *link = plan_input_link(input, route->ifindex);

		if (!plan_is_main(route) || plan_input_connected(input, route) || !link ||
		    link->loopback || prefix_is_default(&route->destination) ||
		    address_is_ipv4(route->destination.address) != (family == AF_INET) ||
		    is_bypassed(plan, &route->destination))
			continue;
		if (route->has_source)
			memcpy(own, route->source, sizeof(own));
		else if (!plan_input_device_source(input, family, route->ifindex, own))
			memcpy(own, source, sizeof(own));
		if (!input->closed)
			route_local(plan, &route->destination, PLAN_TABLE_CAPTURE, LOOPBACK_IFINDEX,
				    own)
				->mtu = plan_input_mtu(input, route);
		/* While nobody steers, the main table must not take over. */
		route_put(plan, &route->destination, PLAN_TABLE_CAPTURE, RTN_UNREACHABLE)->metric =
			2;
	}
}

/*
 * Lets the replies of the proxy's listener that is bound to lo find the application. A local route
 * by lo is one whose result the kernel caches. Only that listener uses these routes. They stand
 * behind the kernel's own routes to the same prefixes, and those match sockets not bound to lo.
 */
static void routes_reply(const struct plan_input *input, struct plan *plan)
{
	size_t i;

	for (i = 0; i < input->address_count; i++) {
		const struct netlink_address *address = &input->addresses[i];
		const struct netlink_link *link = plan_input_link(input, address->ifindex);
		struct prefix prefix = {.length = 128};

		if (!address_is_ipv4(address->address) || !link || link->loopback)
			continue;
		memcpy(prefix.address, address->address, sizeof(prefix.address));
		(void)route_local(plan, &prefix, RT_TABLE_LOCAL, LOOPBACK_IFINDEX,
				  address->address);
	}
}

/* Leads the traffic of sockets that are bound to a device to the proxy, by @table. */
static void routes_bound(const struct plan_input *input, struct plan *plan, int family,
			 uint32_t table, const uint8_t source[16])
{
	struct prefix any = prefix_default(family);
	uint8_t device_source[16];
	size_t i;

	for (i = 0; i < input->link_count; i++) {
		const struct netlink_link *link = &input->links[i];
		struct netlink_route *route;
		bool own;

		if (link->loopback || !link->up)
			continue;
		own = plan_input_device_source(input, family, link->ifindex, device_source);
		route = route_local(plan, &any, table, link->ifindex, own ? device_source : source);
		route->metric = link->ifindex;
		route->mtu = link->mtu;
	}
}

/*
 * Makes the tables for packets from inner devices. The kernel validates an IPv4 packet to a
 * container inside by the route of its answer (__mkroute_input, net/ipv4/route.c). The answer would
 * come from the inner device, and without a mark. The kernel drops the packet if that is
 * prohibited, and takes a local route (device_settings_relax()). Packets that are neither marked
 * nor steered end there.
 */
static void routes_inner(const struct plan_input *input, struct plan *plan, int family,
			 const uint8_t *source)
{
	struct prefix any = prefix_default(family);

	if (!has_inner(input))
		return;
	if (source && !input->closed && family == AF_INET)
		(void)route_local(plan, &any, PLAN_TABLE_INNER, LOOPBACK_IFINDEX, source);
	route_put(plan, &any, PLAN_TABLE_INNER, RTN_PROHIBIT)->metric = 2;
	if (!input->out_mark)
		return;
	route_put(plan, &any, PLAN_TABLE_INNER_STEER, RTN_PROHIBIT)->metric = 2;
	if (source && !input->closed && (family == AF_INET || !input->ipv6_refused))
		(void)route_local(plan, &any, PLAN_TABLE_INNER_STEER, LOOPBACK_IFINDEX, source);
}

static void routes_of_family(const struct plan_input *input, struct plan *plan, int family)
{
	struct prefix any = prefix_default(family);
	uint8_t source[16];
	bool has_source = plan_ways_source(input, family, source);

	routes_throw(input, plan, family);
	if (family == AF_INET)
		routes_reply(input, plan);
	/* Where steering is impossible, an error at once is better than a leak. */
	route_put(plan, &any, PLAN_TABLE_STEER, RTN_UNREACHABLE)->metric = 2;
	route_put(plan, &any, PLAN_TABLE_DATAGRAMS, RTN_UNREACHABLE)->metric = 2;
	/* Behind the routes of devices, whose metrics are their indices, unless it is refused. */
	if (input->internet_off)
		route_put(plan, &any, PLAN_TABLE_DNS, RTN_UNREACHABLE)->metric =
			family == AF_INET6 && input->ipv6_refused ? 1 : UINT32_MAX;
	/* In a namespace without addresses, connections can only come from loopback. */
	if (!has_source && family == AF_INET)
		has_source = address_parse("127.0.0.1", source) == 0;
	routes_inner(input, plan, family, has_source ? source : NULL);
	if (!has_source)
		return;
	/* An unreachable route does not match sockets that are bound to a device, nor precede those
	 * of the main table that lead off the link. So these are steered even then. */
	if (!input->closed && (family == AF_INET || !input->ipv6_refused)) {
		(void)route_local(plan, &any, PLAN_TABLE_STEER, LOOPBACK_IFINDEX, source);
		route_local(plan, &any, PLAN_TABLE_DATAGRAMS, LOOPBACK_IFINDEX, source)->mtu =
			plan_input_least_mtu(input, family);
	}
	routes_capture(input, plan, family, source);
	routes_bound(input, plan, family, PLAN_TABLE_BOUND, source);
	if (!input->internet_off)
		return;
	if (family == AF_INET || !input->ipv6_refused)
		(void)route_local(plan, &any, PLAN_TABLE_DNS, LOOPBACK_IFINDEX, source);
	routes_bound(input, plan, family, PLAN_TABLE_DNS, source);
}

int plan_routes_make(const struct plan_input *input, struct plan *plan)
{
	/* Five throws for a bypassed prefix, two captures for a route, a reply for an address. Of
	 * each family: two bound routes for a link, and ten for everything. */
	size_t room = 5 * plan->lists[PLAN_BYPASS].count + 2 * input->route_count +
		      2 * (2 * input->link_count + 10) + input->address_count;
	size_t i;

	if (plan_reserve(plan, PLAN_ROUTE, room) < 0)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(families); i++)
		routes_of_family(input, plan, families[i]);
	return 0;
}

static struct netlink_rule *rule_put(struct plan *plan, int family, uint32_t priority,
				     uint32_t table)
{
	struct netlink_rule *rule = plan_append(plan, PLAN_RULE);

	*rule = (struct netlink_rule) {
		.family = family,
		.priority = priority,
		.action = FR_ACT_TO_TBL,
		.table = table,
		.input_name = "lo", /* generated in this namespace, not forwarded */
		.protocol = NETLINK_PROTOCOL_SIDESTEP,
	};
	return rule;
}

/* Whether a captured route exists. Without one, each route lookup can do without that table. */
static bool captures(const struct plan *plan, int family)
{
	const struct netlink_route *route = plan->lists[PLAN_ROUTE].items;
	size_t i;

	for (i = 0; i < plan->lists[PLAN_ROUTE].count; i++, route++)
		if (route->table == PLAN_TABLE_CAPTURE && route->type == RTN_UNREACHABLE &&
		    address_is_ipv4(route->destination.address) == (family == AF_INET))
			return true;
	return false;
}

/* A port cannot be had without a protocol, so it takes two rules. */
static void rules_dns(struct plan *plan, int family)
{
	static const uint8_t protocols[] = {IPPROTO_UDP, IPPROTO_TCP};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(protocols); i++) {
		struct netlink_rule *rule = rule_put(plan, family, PLAN_RULE_DNS, PLAN_TABLE_DNS);

		rule->ip_protocol = protocols[i];
		rule->port = DNS_PORT;
	}
}

/* A packet without the marks meets the last rule, as all do after a kill. */
static void rules_inner(const struct plan_input *input, struct plan *plan, int family)
{
	size_t i;

	for (i = 0; i < input->link_count && input->inner; i++) {
		const struct netlink_link *link = &input->links[i];
		struct netlink_rule *rules[3];
		size_t count = 0;

		if (!plan_inner_is(input, link))
			continue;
		rules[count] = rule_put(plan, family, PLAN_RULE_INNER_OUT, RT_TABLE_MAIN);
		rules[count++]->mark = SIDESTEP_OUT_MARK;
		rules[count++] = rule_put(plan, family, PLAN_RULE_INNER, PLAN_TABLE_INNER);
		if (input->out_mark) {
			rules[count] = rule_put(plan, family, PLAN_RULE_INNER_STEER,
						PLAN_TABLE_INNER_STEER);
			rules[count++]->mark = SIDESTEP_STEER_MARK;
		}
		while (count > 0)
			memcpy(rules[--count]->input_name, link->name, sizeof(link->name));
	}
}

/* A packet that may leave takes the way that it would have without us. */
static void rules_out(const struct plan_input *input, struct plan *plan, int family)
{
	struct netlink_rule *out = rule_put(plan, family, PLAN_RULE_OUT, 0);
	struct netlink_rule *others = rule_put(plan, family, PLAN_RULE_OTHERS, 0);

	out->action = FR_ACT_GOTO;
	out->target = PLAN_RULE_OTHERS;
	out->mark = input->out_mark;
	out->mark_mask = UINT32_MAX;
	others->action = FR_ACT_NOP;
}

static void rules_of_family(const struct plan_input *input, struct plan *plan, int family)
{
	uint32_t bound = PLAN_RULE_BOUND;
	size_t i;

	if (input->out_mark)
		rules_out(input, plan, family);
	if (input->internet_off)
		rules_dns(plan, family);
	if (captures(plan, family)) {
		(void)rule_put(plan, family, PLAN_RULE_CAPTURE, PLAN_TABLE_CAPTURE);
		bound = PLAN_RULE_BOUND_FIRST;
	}
	rule_put(plan, family, PLAN_RULE_CONNECTED, RT_TABLE_MAIN)->least_bits = 1;
	for (i = 0; i < input->link_count; i++) {
		struct netlink_rule *rule;

		if (input->links[i].loopback)
			continue;
		rule = rule_put(plan, family, bound, PLAN_TABLE_BOUND);
		memcpy(rule->output_name, input->links[i].name, sizeof(rule->output_name));
	}
	/* TCP keeps lo's MTU, and with it large segments. Its MSS is clamped where it leaves. */
	rule_put(plan, family, PLAN_RULE_STEER, PLAN_TABLE_STEER)->ip_protocol = IPPROTO_TCP;
	(void)rule_put(plan, family, PLAN_RULE_DATAGRAMS, PLAN_TABLE_DATAGRAMS);
	rules_inner(input, plan, family);
}

int plan_routes_rules(const struct plan_input *input, struct plan *plan)
{
	size_t i;

	if (plan_reserve(plan, PLAN_RULE, ARRAY_SIZE(families) * (4 * input->link_count + 8)) < 0)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(families); i++)
		rules_of_family(input, plan, families[i]);
	return 0;
}
