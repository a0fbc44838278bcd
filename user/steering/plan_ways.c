// SPDX-License-Identifier: Apache-2.0
#include "steering/plan_ways.h"

#include <errno.h>
#include <string.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "lib/util.h"
#include "net/other_rules.h"

static const int families[] = {AF_INET, AF_INET6};

/* A way, and how far way_next() has come. */
struct way {
	int family;
	const uint8_t *source; /* NULL: of packets from any address that has no way of its own */
	size_t next;
	uint32_t target; /* of the last goto */
};

/* Returns the next rule to whose table the kernel leads a packet unless an earlier one had a route,
 * or NULL. Unreachable and its like end a way, unless they are for some destinations only. */
static const struct netlink_rule *way_next(const struct plan_input *input, struct way *way)
{
	static const struct netlink_rule main = {.action = FR_ACT_TO_TBL, .table = RT_TABLE_MAIN};

	if (input->other_count == 0 && way->next++ == 0)
		return &main;
	while (way->next < input->other_count) {
		const struct netlink_rule *rule = &input->others[way->next++];

		if (rule->family != way->family || rule->priority < way->target ||
		    !other_rule_holds(rule, way->source))
			continue;
		if (rule->action == FR_ACT_TO_TBL)
			return rule;
		if (rule->action == FR_ACT_NOP || rule->has_destination)
			continue;
		if (rule->action == FR_ACT_GOTO)
			way->target = rule->target;
		else
			way->next = input->other_count;
	}
	return NULL;
}

static unsigned int family_bits(const struct prefix *prefix)
{
	return address_is_ipv4(prefix->address) ? prefix->length - 96u : prefix->length;
}

static bool covers(const struct prefix *outer, const struct prefix *inner)
{
	return outer->length <= inner->length && prefix_contains(outer, inner->address);
}

static bool is_on_way(const struct way *way, const struct netlink_rule *rule,
		      const struct netlink_route *route)
{
	return route->table == rule->table && route->ifindex && plan_is_foreign(route) &&
	       address_is_ipv4(route->destination.address) == (way->family == AF_INET);
}

/* Is there a longer route in the table of @rule that covers all its destinations as well? */
static bool is_hidden(const struct plan_input *input, const struct way *way,
		      const struct netlink_rule *rule, const struct netlink_route *route)
{
	size_t i;

	for (i = 0; i < input->route_count; i++)
		if (is_on_way(way, rule, &input->routes[i]) &&
		    input->routes[i].destination.length > route->destination.length &&
		    covers(&input->routes[i].destination, &rule->destination))
			return true;
	return false;
}

/* Finds the destinations that @rule sends by @route of its table. Returns false if there are none.
 */
static bool way_destination(const struct plan_input *input, const struct way *way,
			    const struct netlink_rule *rule, const struct netlink_route *route,
			    struct prefix *ret_destination)
{
	*ret_destination = route->destination;
	if (family_bits(&route->destination) < rule->least_bits)
		return false;
	if (!rule->has_destination || covers(&rule->destination, &route->destination))
		return true;
	*ret_destination = rule->destination;
	return covers(&route->destination, &rule->destination) &&
	       !is_hidden(input, way, rule, route);
}

/* Did a table that the kernel asked before (up to the item @asked) have a route there, or this
 * table the same one? The kernel lists several routes to one prefix in its order of preference. */
static bool has_way(const struct plan_list *list, size_t begin, size_t asked,
		    const struct prefix *destination)
{
	const struct plan_route *routes = list->items;
	size_t i;

	for (i = begin; i < list->count; i++)
		if (i < asked ? covers(&routes[i].prefix, destination)
			      : prefix_equal(&routes[i].prefix, destination))
			return true;
	return false;
}

static void way_put(const struct plan_input *input, struct plan *plan, const struct way *way,
		    const struct netlink_route *route, const struct prefix *destination)
{
	struct plan_route *egress = plan_append(plan, PLAN_EGRESS);

	if (way->source)
		memcpy(egress->source, way->source, sizeof(egress->source));
	egress->prefix = *destination;
	egress->value.ifindex = route->ifindex;
	egress->value.has_gateway = route->has_gateway;
	egress->value.mtu = plan_input_mtu(input, route);
	if (route->has_gateway)
		memcpy(egress->value.gateway, route->gateway, sizeof(egress->value.gateway));
}

static void way_egress(const struct plan_input *input, struct plan *plan, struct way way)
{
	const struct plan_list *list = &plan->lists[PLAN_EGRESS];
	size_t begin = list->count, i;
	const struct netlink_rule *rule;

	while ((rule = way_next(input, &way))) {
		size_t asked = list->count;

		for (i = 0; i < input->route_count; i++) {
			const struct netlink_route *route = &input->routes[i];
			struct prefix destination;

			if (is_on_way(&way, rule, route) &&
			    way_destination(input, &way, rule, route, &destination) &&
			    !has_way(list, begin, asked, &destination))
				way_put(input, plan, &way, route, &destination);
		}
	}
}

/* Does a rule that is followed name the address? Packets from it have a way of their own then. */
static bool has_own_way(const struct plan_input *input, const struct netlink_address *address)
{
	size_t i;

	for (i = 0; i < input->other_count; i++)
		if (input->others[i].has_source &&
		    other_rule_holds(&input->others[i], address->address))
			return true;
	return false;
}

static bool is_of(const struct netlink_address *address, int family)
{
	return address_is_ipv4(address->address) == (family == AF_INET);
}

static size_t count_sources(const struct plan_input *input)
{
	size_t count = 0, i;

	for (i = 0; i < input->address_count; i++)
		count += has_own_way(input, &input->addresses[i]);
	return count;
}

/* Lets the programs ask for ways by source only where there are some. */
static void mark_by_source(struct plan *plan, int family, size_t begin)
{
	struct plan_route *routes = plan->lists[PLAN_EGRESS].items;
	size_t i;

	for (i = begin; i < plan->lists[PLAN_EGRESS].count; i++)
		if (address_is_ipv4(routes[i].prefix.address) == (family == AF_INET))
			routes[i].value.by_source = 1;
}

static void ways_of_family(const struct plan_input *input, struct plan *plan, int family)
{
	size_t begin = plan->lists[PLAN_EGRESS].count, i;
	bool by_source = false;

	way_egress(input, plan, (struct way) {.family = family});
	for (i = 0; i < input->address_count; i++) {
		const struct netlink_address *address = &input->addresses[i];

		if (!is_of(address, family) || !has_own_way(input, address))
			continue;
		way_egress(input, plan,
			   (struct way) {.family = family, .source = address->address});
		by_source = true;
	}
	if (by_source)
		mark_by_source(plan, family, begin);
}

int plan_ways_egress(const struct plan_input *input, struct plan *plan)
{
	/* Each way has a route at most once for each rule. */
	size_t room = input->route_count * (input->other_count + 1) * (count_sources(input) + 1), i;

	if (plan_reserve(plan, PLAN_EGRESS, room) < 0)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(families); i++)
		ways_of_family(input, plan, families[i]);
	return 0;
}

bool plan_ways_source(const struct plan_input *input, int family, uint8_t source[16])
{
	struct way way = {.family = family};
	const struct netlink_rule *rule;
	size_t i;

	while ((rule = way_next(input, &way))) {
		for (i = 0; i < input->route_count; i++) {
			const struct netlink_route *route = &input->routes[i];

			if (rule->least_bits || rule->has_destination ||
			    !is_on_way(&way, rule, route) ||
			    !prefix_is_default(&route->destination))
				continue;
			if (route->has_source) {
				memcpy(source, route->source, 16);
				return true;
			}
			if (plan_input_device_source(input, family, route->ifindex, source))
				return true;
		}
	}
	return plan_input_device_source(input, family, 0, source);
}
