// SPDX-License-Identifier: Apache-2.0
#include "steering/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/rtnetlink.h>

#include "lib/log.h"
#include "lib/util.h"

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_prefixes(const struct prefix *a, const struct prefix *b)
{
	int order = memcmp(a->address, b->address, sizeof(a->address));

	return order ? order : compare_numbers(a->length, b->length);
}

static int compare_bypass(const void *a, const void *b)
{
	const struct plan_bypass *left = a, *right = b;
	int order = compare_prefixes(&left->prefix, &right->prefix);

	if (order == 0)
		order = compare_numbers(left->value.sources, right->value.sources);
	return order ? order : compare_numbers(left->value.ifindex, right->value.ifindex);
}

static int compare_egress(const void *a, const void *b)
{
	const struct plan_route *left = a, *right = b;
	int order = compare_prefixes(&left->prefix, &right->prefix);

	return order ? order : memcmp(&left->value, &right->value, sizeof(left->value));
}

static int compare_route(const void *a, const void *b)
{
	const struct netlink_route *left = a, *right = b;
	int order = compare_numbers(left->table, right->table);

	if (order == 0)
		order = compare_prefixes(&left->destination, &right->destination);
	if (order == 0)
		order = compare_numbers(left->metric, right->metric);
	if (order == 0)
		order = compare_numbers(left->ifindex, right->ifindex);
	if (order == 0)
		order = compare_numbers(left->type, right->type);
	if (order == 0)
		order = compare_numbers(left->has_source, right->has_source);
	return order ? order : memcmp(left->source, right->source, sizeof(left->source));
}

static int compare_rule(const void *a, const void *b)
{
	const struct netlink_rule *left = a, *right = b;
	int order = compare_numbers((uint64_t)left->family, (uint64_t)right->family);

	if (order == 0)
		order = compare_numbers(left->priority, right->priority);
	if (order == 0)
		order = compare_prefixes(&left->destination, &right->destination);
	if (order == 0)
		order = compare_numbers(left->has_destination, right->has_destination);
	if (order == 0)
		order = strcmp(left->output_name, right->output_name);
	if (order == 0)
		order = strcmp(left->input_name, right->input_name);
	if (order == 0)
		order = compare_numbers(left->suppress_default, right->suppress_default);
	if (order == 0)
		order = compare_numbers(left->suppress_group, right->suppress_group);
	if (order == 0)
		order = compare_numbers(left->mark, right->mark);
	return order ? order : compare_numbers(left->table, right->table);
}

static int compare_device(const void *a, const void *b)
{
	return compare_numbers(*(const uint32_t *)a, *(const uint32_t *)b);
}

static const struct {
	size_t size; /* of an item, bytes */
	int (*compare)(const void *, const void *);
} layers[PLAN_LAYERS] = {
	[PLAN_BYPASS] = {sizeof(struct plan_bypass), compare_bypass},
	[PLAN_EGRESS] = {sizeof(struct plan_route), compare_egress},
	[PLAN_DEVICE] = {sizeof(uint32_t), compare_device},
	[PLAN_ROUTE] = {sizeof(struct netlink_route), compare_route},
	[PLAN_RULE] = {sizeof(struct netlink_rule), compare_rule},
};

int plan_difference(const struct plan *in, const struct plan *not_in, enum plan_layer layer,
		    int (*visit)(void *, const void *), void *context)
{
	size_t left = in->lists[layer].count, other_left = not_in->lists[layer].count;
	const char *item = in->lists[layer].items, *other = not_in->lists[layer].items;
	int first_error = 0;

	while (left > 0) {
		int order = other_left > 0 ? layers[layer].compare(item, other) : -1;

		if (order <= 0) {
			int error = order < 0 ? visit(context, item) : 0;

			if (error < 0 && first_error == 0)
				first_error = error;
			item += layers[layer].size;
			left--;
		}
		if (order >= 0) {
			other += layers[layer].size;
			other_left--;
		}
	}
	return first_error;
}

void plan_release(struct plan *plan)
{
	size_t layer;

	for (layer = 0; layer < PLAN_LAYERS; layer++)
		free(plan->lists[layer].items);
	*plan = (struct plan) {0};
}

void plan_tidy(struct plan *plan, enum plan_layer layer)
{
	struct plan_list *list = &plan->lists[layer];
	size_t size = layers[layer].size, i;
	char *last = list->items;

	if (list->count == 0)
		return;
	qsort(list->items, list->count, size, layers[layer].compare);
	for (i = 1; i < list->count; i++) {
		const char *item = (const char *)list->items + i * size;

		if (layers[layer].compare(last, item) == 0)
			continue;
		last += size;
		if (last != item)
			memcpy(last, item, size);
	}
	list->count = (size_t)(last - (const char *)list->items) / size + 1;
}

/* The lists have room for whatever the input can lead to: see allocate(). */
static void *list_put(struct plan *plan, enum plan_layer layer)
{
	struct plan_list *list = &plan->lists[layer];

	return (char *)list->items + list->count++ * layers[layer].size;
}

static const struct netlink_link *find_link(const struct plan_input *input, uint32_t ifindex)
{
	size_t i;

	for (i = 0; i < input->link_count; i++)
		if (input->links[i].ifindex == ifindex)
			return &input->links[i];
	return NULL;
}

static bool is_main(const struct netlink_route *route)
{
	return route->table == RT_TABLE_MAIN && route->type == RTN_UNICAST;
}

static bool prefix_is_default(const struct prefix *prefix)
{
	return prefix->length == (address_is_ipv4(prefix->address) ? 96 : 0);
}

/* The kernel makes these itself for the subnet of each address. */
static bool is_connected(const struct netlink_route *route)
{
	return is_main(route) && route->protocol == RTPROT_KERNEL && !route->has_gateway &&
	       !prefix_is_default(&route->destination);
}

/* A device whose traffic is the world's: everything but loopback and our own anchor. */
static bool is_real(const struct plan_input *input, const struct netlink_link *link)
{
	return !link->loopback && link->ifindex != input->anchor_ifindex;
}

static void bypass_put(struct plan *plan, const struct prefix *prefix, uint32_t source,
		       uint32_t ifindex)
{
	struct plan_bypass *bypass = plan->lists[PLAN_BYPASS].items;
	size_t i;

	for (i = 0; i < plan->lists[PLAN_BYPASS].count; i++) {
		if (!prefix_equal(&bypass[i].prefix, prefix))
			continue;
		bypass[i].value.sources |= source;
		if (ifindex)
			bypass[i].value.ifindex = ifindex;
		return;
	}
	bypass = list_put(plan, PLAN_BYPASS);
	*bypass = (struct plan_bypass) {
		.prefix = *prefix,
		.value = {.sources = source, .ifindex = ifindex},
	};
}

static void bypass_builtin(struct plan *plan)
{
	static const struct {
		const char *text;
		uint32_t source;
	} builtin[] = {
		{"127.0.0.0/8", SIDESTEP_FROM_LOCAL},
		{"::1/128", SIDESTEP_FROM_LOCAL},
		/* Link scope: RFC 5771 section 4, RFC 919, RFC 4291 sections 2.5.6 and 2.7. Not
		 * 169.254.0.0/16: cloud metadata services live there. */
		{"224.0.0.0/24", SIDESTEP_FROM_BUILTIN},
		{"255.255.255.255/32", SIDESTEP_FROM_BUILTIN},
		{"fe80::/10", SIDESTEP_FROM_BUILTIN},
		{"ff01::/16", SIDESTEP_FROM_BUILTIN},
		{"ff02::/16", SIDESTEP_FROM_BUILTIN},
	};
	struct prefix prefix;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(builtin); i++)
		if (prefix_parse(builtin[i].text, &prefix) == 0)
			bypass_put(plan, &prefix, builtin[i].source, 0);
}

static void make_bypass(const struct plan_input *input, struct plan *plan)
{
	bool bridge_mode = input->mode == SIDESTEP_MODE_BRIDGE;
	size_t i;

	bypass_builtin(plan);
	for (i = 0; i < input->option_count; i++)
		bypass_put(plan, &input->options[i], SIDESTEP_FROM_OPTION, 0);
	if (input->gateway)
		bypass_put(plan, input->gateway, SIDESTEP_FROM_GATEWAY, 0);
	for (i = 0; i < input->docker_count; i++)
		bypass_put(plan, &input->docker[i], SIDESTEP_FROM_DOCKER, 0);
	for (i = 0; i < input->route_count; i++) {
		const struct netlink_route *route = &input->routes[i];
		const struct netlink_link *link = find_link(input, route->ifindex);

		if (!is_connected(route) || !link || !is_real(input, link))
			continue;
		/* On the host only bridges carry containers; its other subnets are the world. */
		if (bridge_mode && !link->bridge)
			continue;
		bypass_put(plan, &route->destination, SIDESTEP_FROM_CONNECTED,
			   bridge_mode ? link->ifindex : 0);
	}
	for (i = 0; i < input->address_count && !bridge_mode; i++) {
		struct prefix prefix = {.length = 128};

		memcpy(prefix.address, input->addresses[i].address, sizeof(prefix.address));
		bypass_put(plan, &prefix, SIDESTEP_FROM_LOCAL, 0);
	}
}

/* Mirrors the main table for what leaves although it was brought to lo. */
static void make_egress(const struct plan_input *input, struct plan *plan)
{
	const struct plan_list *list = &plan->lists[PLAN_EGRESS];
	size_t i, j;

	for (i = 0; i < input->route_count; i++) {
		const struct netlink_route *route = &input->routes[i];
		struct plan_route egress = {.prefix = route->destination};

		if (!is_main(route) || !route->ifindex)
			continue;
		egress.value.ifindex = route->ifindex;
		egress.value.has_gateway = route->has_gateway;
		if (route->has_gateway)
			memcpy(egress.value.gateway, route->gateway, sizeof(egress.value.gateway));
		/* Of several routes to one prefix the kernel lists the one it uses first. */
		for (j = 0; j < list->count; j++)
			if (prefix_equal(&((struct plan_route *)list->items)[j].prefix,
					 &egress.prefix))
				break;
		if (j == list->count)
			*(struct plan_route *)list_put(plan, PLAN_EGRESS) = egress;
	}
}

/* An address of the device's, for the source of steered connections; of any device with 0. */
static bool find_source(const struct plan_input *input, int family, uint32_t ifindex,
			uint8_t source[16])
{
	size_t i;

	for (i = 0; i < input->address_count; i++) {
		const struct netlink_address *address = &input->addresses[i];
		const struct netlink_link *link = find_link(input, address->ifindex);

		if (address->link_local || !link || !is_real(input, link) || address->tentative ||
		    (ifindex && address->ifindex != ifindex) ||
		    address_is_ipv4(address->address) != (family == AF_INET))
			continue;
		memcpy(source, address->address, 16);
		return true;
	}
	return false;
}

/* The address that connections would have come from without sidestep: the default route's. */
static bool choose_source(const struct plan_input *input, int family, uint8_t source[16])
{
	size_t i;

	for (i = 0; i < input->route_count; i++) {
		const struct netlink_route *route = &input->routes[i];

		if (!is_main(route) || !prefix_is_default(&route->destination) ||
		    address_is_ipv4(route->destination.address) != (family == AF_INET))
			continue;
		if (route->has_source) {
			memcpy(source, route->source, 16);
			return true;
		}
		if (find_source(input, family, route->ifindex, source))
			return true;
	}
	return find_source(input, family, 0, source);
}

static struct prefix default_prefix(int family)
{
	struct prefix prefix = {.length = 0};

	if (family == AF_INET) {
		prefix.address[10] = prefix.address[11] = 0xff;
		prefix.length = 96;
	}
	return prefix;
}

static struct netlink_route *route_put(struct plan *plan, const struct prefix *destination,
				       uint32_t table, uint8_t type)
{
	struct netlink_route *route = list_put(plan, PLAN_ROUTE);

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

static bool has_anchor(const struct plan_input *input, int family)
{
	return family == AF_INET && input->anchor_ifindex != LOOPBACK_IFINDEX;
}

/* Bypassed prefixes leave our tables for the main one. */
static void routes_throw(const struct plan_input *input, struct plan *plan, int family)
{
	static const uint32_t tables[] = {PLAN_TABLE_CAPTURE, PLAN_TABLE_STEER, PLAN_TABLE_BOUND,
					  PLAN_TABLE_ALIVE};
	size_t table_count = has_anchor(input, family) ? ARRAY_SIZE(tables)
						       : ARRAY_SIZE(tables) - 1;
	const struct plan_bypass *bypass = plan->lists[PLAN_BYPASS].items;
	size_t i, j;

	for (i = 0; i < plan->lists[PLAN_BYPASS].count; i++, bypass++) {
		/* The local table, which comes first, has these. */
		if (address_is_ipv4(bypass->prefix.address) != (family == AF_INET) ||
		    (bypass->value.sources & SIDESTEP_FROM_LOCAL))
			continue;
		for (j = 0; j < table_count; j++)
			(void)route_put(plan, &bypass->prefix, tables[j], RTN_THROW);
	}
}

/* Routes of the main table, other than its default and the connected subnets, lead to the world. */
static void routes_capture(const struct plan_input *input, struct plan *plan, int family,
			   uint32_t anchor, const uint8_t source[16])
{
	size_t i;

	for (i = 0; i < input->route_count; i++) {
		const struct netlink_route *route = &input->routes[i];
		const struct netlink_link *link = find_link(input, route->ifindex);

		if (!is_main(route) || is_connected(route) || !link || !is_real(input, link) ||
		    prefix_is_default(&route->destination) ||
		    address_is_ipv4(route->destination.address) != (family == AF_INET) ||
		    is_bypassed(plan, &route->destination))
			continue;
		(void)route_local(plan, &route->destination, PLAN_TABLE_CAPTURE, anchor, source);
		/* For when the anchor is gone: it must not be the main table's turn. */
		route_put(plan, &route->destination, PLAN_TABLE_CAPTURE, RTN_UNREACHABLE)->metric =
			2;
	}
}

/*
 * The anchor's route goes when the anchor does, and what is behind it then ends all. While it is
 * there, the rule takes no notice of it (suppress_ifgroup). So the routes that steer can be lo's:
 * of local routes by another device the kernel caches no result (do_cache in __mkroute_output,
 * net/ipv4/route.c), which each connection would pay for.
 */
static void routes_alive(const struct plan_input *input, struct plan *plan)
{
	struct prefix any = default_prefix(AF_INET);

	route_put(plan, &any, PLAN_TABLE_ALIVE, RTN_UNICAST)->ifindex = input->anchor_ifindex;
	route_put(plan, &any, PLAN_TABLE_ALIVE, RTN_UNREACHABLE)->metric = 2;
}

/*
 * How answers of the proxy's listener that is bound to lo find the application (route_local() of
 * lo, whose result the kernel caches). Nobody else takes these: they stand behind the kernel's own
 * routes of the same prefixes, which are the addresses' devices' and so match whatever is not bound
 * to lo.
 */
static void routes_answer(const struct plan_input *input, struct plan *plan)
{
	size_t i;

	for (i = 0; i < input->address_count; i++) {
		const struct netlink_address *address = &input->addresses[i];
		const struct netlink_link *link = find_link(input, address->ifindex);
		struct prefix prefix = {.length = 128};

		if (!address_is_ipv4(address->address) || !link || !is_real(input, link))
			continue;
		memcpy(prefix.address, address->address, sizeof(prefix.address));
		(void)route_local(plan, &prefix, RT_TABLE_LOCAL, LOOPBACK_IFINDEX,
				  address->address);
	}
}

static void make_routes(const struct plan_input *input, struct plan *plan, int family)
{
	struct prefix any = default_prefix(family);
	uint8_t source[16], device_source[16];
	bool has_source = choose_source(input, family, source);
	uint32_t anchor = family == AF_INET ? input->anchor_ifindex : LOOPBACK_IFINDEX;
	size_t i;

	routes_throw(input, plan, family);
	if (family == AF_INET)
		routes_answer(input, plan);
	if (has_anchor(input, family))
		routes_alive(input, plan);
	/* Where nothing can be steered: an error at once instead of a leak. */
	route_put(plan, &any, PLAN_TABLE_STEER, RTN_UNREACHABLE)->metric = 2;
	if (family == AF_INET6 && input->ipv6_refused)
		return;
	/* Without an address there is nothing that a connection could come from but loopback. */
	if (!has_source && family == AF_INET)
		has_source = address_parse("127.0.0.1", source) == 0;
	if (!has_source)
		return;
	(void)route_local(plan, &any, PLAN_TABLE_STEER, LOOPBACK_IFINDEX, source);
	routes_capture(input, plan, family, anchor, source);
	for (i = 0; i < input->link_count; i++) {
		const struct netlink_link *link = &input->links[i];
		bool own;

		if (!is_real(input, link) || !link->up)
			continue;
		own = find_source(input, family, link->ifindex, device_source);
		route_local(plan, &any, PLAN_TABLE_BOUND, link->ifindex,
			    own ? device_source : source)
			->metric = link->ifindex;
	}
}

static struct netlink_rule *rule_put(struct plan *plan, int family, uint32_t priority,
				     uint32_t table)
{
	struct netlink_rule *rule = list_put(plan, PLAN_RULE);

	*rule = (struct netlink_rule) {
		.family = family,
		.priority = priority,
		.table = table,
		.input_name = "lo", /* what is generated here; forwarded packets are not ours */
		.protocol = NETLINK_PROTOCOL_SIDESTEP,
	};
	return rule;
}

/* Does a route of the main table lead to the world, other than by its default? Seldom: then each
 * lookup of a route is spared one in a table that would say nothing. */
static bool captures(const struct plan *plan, int family)
{
	const struct netlink_route *route = plan->lists[PLAN_ROUTE].items;
	size_t i;

	for (i = 0; i < plan->lists[PLAN_ROUTE].count; i++, route++)
		if (route->table == PLAN_TABLE_CAPTURE && route->type == RTN_LOCAL &&
		    address_is_ipv4(route->destination.address) == (family == AF_INET))
			return true;
	return false;
}

static void make_rules(const struct plan_input *input, struct plan *plan, int family)
{
	size_t i;

	if (input->out_mark)
		rule_put(plan, family, PLAN_RULE_OUT, RT_TABLE_MAIN)->mark = input->out_mark;
	if (captures(plan, family))
		(void)rule_put(plan, family, PLAN_RULE_CAPTURE, PLAN_TABLE_CAPTURE);
	rule_put(plan, family, PLAN_RULE_CONNECTED, RT_TABLE_MAIN)->suppress_default = true;
	for (i = 0; i < input->link_count; i++) {
		struct netlink_rule *rule;

		if (!is_real(input, &input->links[i]))
			continue;
		rule = rule_put(plan, family, PLAN_RULE_BOUND, PLAN_TABLE_BOUND);
		memcpy(rule->output_name, input->links[i].name, sizeof(rule->output_name));
	}
	if (has_anchor(input, family))
		rule_put(plan, family, PLAN_RULE_ALIVE, PLAN_TABLE_ALIVE)->suppress_group =
			NETLINK_GROUP_ANCHOR;
	(void)rule_put(plan, family, PLAN_RULE_STEER, PLAN_TABLE_STEER);
}

static bool named(const struct plan_input *input, const char *name)
{
	size_t i;

	for (i = 0; i < input->bridge_count; i++)
		if (strcmp(input->bridges[i], name) == 0)
			return true;
	return false;
}

/* The guard reads Ethernet frames; other devices (tunnels) are left to the routing alone. */
static void make_devices(const struct plan_input *input, struct plan *plan)
{
	size_t i;

	for (i = 0; i < input->link_count; i++) {
		const struct netlink_link *link = &input->links[i];

		if (input->mode == SIDESTEP_MODE_BRIDGE ? named(input, link->name)
							: is_real(input, link) && link->ethernet)
			*(uint32_t *)list_put(plan, PLAN_DEVICE) = link->ifindex;
	}
}

/* Room for every item that the input can lead to. */
static int allocate(const struct plan_input *input, struct plan *plan)
{
	size_t bypass = 17 + input->option_count + input->docker_count + input->route_count +
			input->address_count;
	size_t room[PLAN_LAYERS] = {
		[PLAN_BYPASS] = bypass,
		[PLAN_EGRESS] = input->route_count + 1,
		[PLAN_DEVICE] = input->link_count + 1,
		[PLAN_ROUTE] = 4 * bypass + 2 * input->route_count + 2 * (input->link_count + 3) +
			       input->address_count,
		[PLAN_RULE] = 2 * (input->link_count + 5),
	};
	size_t layer;

	for (layer = 0; layer < PLAN_LAYERS; layer++) {
		plan->lists[layer].items = calloc(room[layer], layers[layer].size);
		if (!plan->lists[layer].items)
			return -ENOMEM;
	}
	return 0;
}

int plan_make(const struct plan_input *input, struct plan *ret_plan)
{
	struct plan plan = {0};
	size_t layer;

	if (allocate(input, &plan) < 0) {
		plan_release(&plan);
		return -ENOMEM;
	}
	make_bypass(input, &plan);
	if (plan.lists[PLAN_BYPASS].count > SIDESTEP_MAX_BYPASS) {
		log_error("%zu subnets are to be bypassed, %d are the limit: give fewer and wider "
			  "ones with --bypass",
			  plan.lists[PLAN_BYPASS].count, SIDESTEP_MAX_BYPASS);
		plan_release(&plan);
		return -ENOSPC;
	}
	make_devices(input, &plan);
	if (input->mode == SIDESTEP_MODE_SIDECAR) {
		make_egress(input, &plan);
		if (plan.lists[PLAN_EGRESS].count > SIDESTEP_MAX_ROUTES) {
			log_error("the main routing table has more than %d routes, which is the "
				  "limit here",
				  SIDESTEP_MAX_ROUTES);
			plan_release(&plan);
			return -ENOSPC;
		}
		make_routes(input, &plan, AF_INET);
		make_routes(input, &plan, AF_INET6);
		make_rules(input, &plan, AF_INET);
		make_rules(input, &plan, AF_INET6);
	}
	for (layer = 0; layer < PLAN_LAYERS; layer++)
		plan_tidy(&plan, layer);
	*ret_plan = plan;
	return 0;
}
