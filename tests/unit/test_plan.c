// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include <cmocka.h>

#include "steering/plan.h"
#include "steering/plan_routes.h"
#include "support/plan_look.h"

static struct prefix prefix(const char *text)
{
	struct prefix result;

	assert_int_equal(prefix_parse(text, &result), 0);
	return result;
}

static struct netlink_route main_route(const char *destination, uint32_t ifindex,
				       const char *gateway, uint8_t protocol)
{
	struct netlink_route route = {
		.destination = prefix(destination),
		.table = RT_TABLE_MAIN,
		.ifindex = ifindex,
		.has_gateway = gateway != NULL,
		.type = RTN_UNICAST,
		.protocol = protocol,
	};

	if (gateway)
		assert_int_equal(address_parse(gateway, route.gateway), 0);
	return route;
}

/* An address that the engine gave, such as "172.17.0.2/16". */
static struct netlink_address address(const char *text, uint32_t ifindex)
{
	struct netlink_address result = {.ifindex = ifindex, .configured = true};
	char bare[ADDRESS_TEXT_MAX];

	(void)snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(text, "/"), text);
	assert_int_equal(address_parse(bare, result.address), 0);
	assert_int_equal(prefix_parse_lenient(text, &result.subnet), 0);
	return result;
}

/* A container's links: lo, and eth0 on a bridge. */
static const struct netlink_link links[] = {
	{.ifindex = 1, .up = true, .loopback = true, .name = "lo"},
	{.ifindex = 2, .up = true, .ethernet = true, .name = "eth0"},
};

static struct plan_input container(const struct netlink_route *routes, size_t route_count,
				   const struct netlink_address *addresses, size_t address_count)
{
	return (struct plan_input) {
		.mode = SIDESTEP_MODE_SIDECAR,
		.links = links,
		.link_count = 2,
		.addresses = addresses,
		.address_count = address_count,
		.routes = routes,
		.route_count = route_count,
	};
}

static const struct netlink_route *find_route(const struct plan *plan, const char *destination,
					      uint32_t table, uint8_t type)
{
	const struct netlink_route *routes = plan->lists[PLAN_ROUTE].items;
	struct prefix wanted = prefix(destination);
	size_t i;

	for (i = 0; i < plan->lists[PLAN_ROUTE].count; i++)
		if (prefix_equal(&routes[i].destination, &wanted) && routes[i].table == table &&
		    routes[i].type == type)
			return &routes[i];
	return NULL;
}

static bool has_rule(const struct plan *plan, int family, uint32_t priority)
{
	const struct netlink_rule *rules = plan->lists[PLAN_RULE].items;
	size_t i;

	for (i = 0; i < plan->lists[PLAN_RULE].count; i++)
		if (rules[i].family == family && rules[i].priority == priority)
			return true;
	return false;
}

static void test_container(void **state)
{
	const struct netlink_route routes[] = {
		main_route("0.0.0.0/0", 2, "172.17.0.1", RTPROT_BOOT),
		main_route("172.17.0.0/16", 2, NULL, RTPROT_KERNEL),
	};
	const struct netlink_address addresses[] = {address("172.17.0.2/16", 2)};
	struct plan_input input = container(routes, 2, addresses, 1);
	const struct netlink_route *steer, *bound, *answer;
	const struct plan_route *egress;
	struct plan plan;
	uint8_t source[16];

	(void)state;
	assert_int_equal(plan_make(&input, &plan), 0);
	assert_int_equal(plan_sources_of(&plan, "172.17.0.0/16"), SIDESTEP_FROM_CONNECTED);
	assert_int_equal(plan_sources_of(&plan, "172.17.0.2/32"), SIDESTEP_FROM_LOCAL);
	assert_int_equal(plan_sources_of(&plan, "127.0.0.0/8"), SIDESTEP_FROM_LOCAL);
	assert_int_equal(plan_sources_of(&plan, "169.254.0.0/16"), 0);
	steer = find_route(&plan, "0.0.0.0/0", PLAN_TABLE_STEER, RTN_LOCAL);
	assert_non_null(steer);
	assert_int_equal(steer->ifindex, 1);
	assert_int_equal(address_parse("172.17.0.2", source), 0);
	assert_memory_equal(steer->source, source, 16);
	bound = find_route(&plan, "0.0.0.0/0", PLAN_TABLE_BOUND, RTN_LOCAL);
	assert_non_null(bound);
	assert_int_equal(bound->ifindex, 2);
	/* It stands behind the kernel's own route (metric 0), for sockets bound to lo. */
	answer = find_route(&plan, "172.17.0.2/32", RT_TABLE_LOCAL, RTN_LOCAL);
	assert_non_null(answer);
	assert_int_equal(answer->ifindex, 1);
	assert_true(answer->metric > 0);
	assert_non_null(find_route(&plan, "172.17.0.0/16", PLAN_TABLE_STEER, RTN_THROW));
	/* Without an address, IPv6 is refused instead of let out. */
	assert_non_null(find_route(&plan, "::/0", PLAN_TABLE_STEER, RTN_UNREACHABLE));
	assert_null(find_route(&plan, "::/0", PLAN_TABLE_STEER, RTN_LOCAL));
	/* Only eth0 is guarded. */
	assert_int_equal(plan.lists[PLAN_DEVICE].count, 1);
	assert_int_equal(((struct plan_device *)plan.lists[PLAN_DEVICE].items)->ifindex, 2);
	assert_int_equal(plan.lists[PLAN_EGRESS].count, 2);
	egress = plan.lists[PLAN_EGRESS].items;
	assert_true(egress[0].value.has_gateway);
	assert_false(egress[1].value.has_gateway);
	plan_release(&plan);
}

/* Bypassed subnets do not add rules, which each connection's lookup would pass. */
static void test_rules_do_not_grow(void **state)
{
	const struct netlink_route routes[] = {
		main_route("0.0.0.0/0", 2, "172.17.0.1", RTPROT_BOOT),
		main_route("172.17.0.0/16", 2, NULL, RTPROT_KERNEL),
	};
	const struct netlink_address addresses[] = {address("172.17.0.2/16", 2)};
	struct plan_input input = container(routes, 2, addresses, 1);
	struct plan_given many[500] = {0};
	size_t rules, i;
	struct plan plan;

	(void)state;
	assert_int_equal(plan_make(&input, &plan), 0);
	rules = plan.lists[PLAN_RULE].count;
	plan_release(&plan);
	for (i = 0; i < 500; i++) {
		char text[ADDRESS_TEXT_MAX];

		(void)snprintf(text, sizeof(text), "10.%zu.%zu.0/24", i / 256, i % 256);
		many[i].prefix = prefix(text);
	}
	input.docker = many;
	input.docker_count = 500;
	assert_int_equal(plan_make(&input, &plan), 0);
	assert_int_equal(plan.lists[PLAN_RULE].count, rules);
	assert_int_equal(plan_sources_of(&plan, "10.1.243.0/24"), SIDESTEP_FROM_DOCKER);
	plan_release(&plan);
}

static void test_static_routes_are_captured(void **state)
{
	const struct netlink_route routes[] = {
		main_route("0.0.0.0/0", 2, "172.17.0.1", RTPROT_BOOT),
		main_route("172.17.0.0/16", 2, NULL, RTPROT_KERNEL),
		main_route("10.0.0.0/8", 2, "172.17.0.9", RTPROT_BOOT),
		main_route("192.168.5.0/24", 2, "172.17.0.9", RTPROT_BOOT),
	};
	const struct netlink_address addresses[] = {address("172.17.0.2/16", 2)};
	struct plan_input input = container(routes, 4, addresses, 1);
	struct plan_given option = {.prefix = prefix("192.168.0.0/16")};
	struct plan plan;

	(void)state;
	input.options = &option;
	input.option_count = 1;
	assert_int_equal(plan_make(&input, &plan), 0);
	assert_non_null(find_route(&plan, "10.0.0.0/8", PLAN_TABLE_CAPTURE, RTN_LOCAL));
	/* The rule for captured routes exists only where there are some. */
	assert_true(has_rule(&plan, AF_INET, PLAN_RULE_CAPTURE));
	assert_false(has_rule(&plan, AF_INET6, PLAN_RULE_CAPTURE));
	assert_true(has_rule(&plan, AF_INET6, PLAN_RULE_CONNECTED));
	/* The main table would lead a socket that is bound to the device past it. */
	assert_true(has_rule(&plan, AF_INET, PLAN_RULE_BOUND_FIRST));
	assert_false(has_rule(&plan, AF_INET, PLAN_RULE_BOUND));
	assert_true(has_rule(&plan, AF_INET6, PLAN_RULE_BOUND));
	assert_int_equal(plan_sources_of(&plan, "10.0.0.0/8"), 0);
	/* A bypassed one goes where the main table leads. */
	assert_null(find_route(&plan, "192.168.5.0/24", PLAN_TABLE_CAPTURE, RTN_LOCAL));
	assert_non_null(find_route(&plan, "192.168.0.0/16", PLAN_TABLE_CAPTURE, RTN_THROW));
	plan_release(&plan);
}

static void test_ipv6_refused(void **state)
{
	const struct netlink_route routes[] = {
		main_route("::/0", 2, "fd00::1", RTPROT_BOOT),
		main_route("fd00::/64", 2, NULL, RTPROT_KERNEL),
	};
	const struct netlink_address addresses[] = {address("fd00::2/64", 2)};
	struct plan_input input = container(routes, 2, addresses, 1);
	struct plan plan;

	(void)state;
	assert_int_equal(plan_make(&input, &plan), 0);
	assert_non_null(find_route(&plan, "::/0", PLAN_TABLE_STEER, RTN_LOCAL));
	plan_release(&plan);
	input.ipv6_refused = true;
	assert_int_equal(plan_make(&input, &plan), 0);
	assert_null(find_route(&plan, "::/0", PLAN_TABLE_STEER, RTN_LOCAL));
	assert_non_null(find_route(&plan, "::/0", PLAN_TABLE_STEER, RTN_UNREACHABLE));
	assert_non_null(find_route(&plan, "fd00::/64", PLAN_TABLE_STEER, RTN_THROW));
	assert_non_null(find_route(&plan, "::/0", PLAN_TABLE_BOUND, RTN_LOCAL));
	plan_release(&plan);
}

static void test_out_mark(void **state)
{
	const struct netlink_route routes[] = {
		main_route("0.0.0.0/0", 2, "172.17.0.1", RTPROT_BOOT)};
	const struct netlink_address addresses[] = {address("172.17.0.2/16", 2)};
	struct plan_input input = container(routes, 1, addresses, 1);
	const struct netlink_rule *rules;
	struct plan with, without;
	size_t i, found = 0;

	(void)state;
	assert_int_equal(plan_make(&input, &without), 0);
	input.out_mark = 0x51de57e9;
	assert_int_equal(plan_make(&input, &with), 0);
	/* Each family has two more rules. One is before all our others, and goes to one behind
	 * them, which is added first. */
	assert_int_equal(with.lists[PLAN_RULE].count, without.lists[PLAN_RULE].count + 4);
	rules = with.lists[PLAN_RULE].items;
	for (i = 0; i < with.lists[PLAN_RULE].count; i++) {
		assert_true(rules[i].priority >= PLAN_RULE_OUT);
		assert_true(rules[i].priority <= PLAN_RULE_OTHERS);
		assert_int_equal(rules[i].mark != 0, rules[i].priority == PLAN_RULE_OUT);
		if (rules[i].priority != PLAN_RULE_OUT)
			continue;
		found++;
		assert_int_equal(rules[i].mark, 0x51de57e9);
		assert_int_equal(rules[i].action, FR_ACT_GOTO);
		assert_int_equal(rules[i].target, PLAN_RULE_OTHERS);
		assert_int_equal(rules[i - 1].priority, PLAN_RULE_OTHERS);
		assert_int_equal(rules[i - 1].action, FR_ACT_NOP);
	}
	assert_int_equal(found, 2);
	plan_release(&with);
	plan_release(&without);
}

static void test_bridge_mode(void **state)
{
	static const struct netlink_link host_links[] = {
		{.ifindex = 1, .up = true, .loopback = true, .name = "lo"},
		{.ifindex = 2, .up = true, .name = "ens3"},
		{.ifindex = 3, .up = true, .bridge = true, .name = "docker0"},
	};
	static const char *const bridges[] = {"docker0", "absent0"};
	const struct netlink_route routes[] = {
		main_route("0.0.0.0/0", 2, "192.168.1.1", RTPROT_BOOT),
		main_route("192.168.1.0/24", 2, NULL, RTPROT_KERNEL),
		main_route("172.17.0.0/16", 3, NULL, RTPROT_KERNEL),
	};
	const struct netlink_address addresses[] = {address("192.168.1.5/24", 2),
						    address("172.17.0.1/16", 3)};
	struct plan_input input = {
		.mode = SIDESTEP_MODE_BRIDGE,
		.links = host_links,
		.link_count = 3,
		.addresses = addresses,
		.address_count = 2,
		.routes = routes,
		.route_count = 3,
		.bridges = bridges,
		.bridge_count = 2,
	};
	const struct plan_bypass *bypass;
	struct plan plan;
	size_t i;

	(void)state;
	assert_int_equal(plan_make(&input, &plan), 0);
	/* The host's own subnet counts as outside, and the host gets no route or rule. */
	assert_int_equal(plan_sources_of(&plan, "192.168.1.0/24"), 0);
	assert_int_equal(plan_sources_of(&plan, "192.168.1.5/32"), 0);
	assert_int_equal(plan_sources_of(&plan, "172.17.0.0/16"), SIDESTEP_FROM_CONNECTED);
	assert_int_equal(plan.lists[PLAN_ROUTE].count, 0);
	assert_int_equal(plan.lists[PLAN_RULE].count, 0);
	assert_int_equal(plan.lists[PLAN_DEVICE].count, 1);
	bypass = plan.lists[PLAN_BYPASS].items;
	for (i = 0; i < plan.lists[PLAN_BYPASS].count; i++)
		if (bypass[i].value.sources == SIDESTEP_FROM_CONNECTED)
			assert_int_equal(bypass[i].value.ifindex, 3);
	plan_release(&plan);
}

static int count(struct plan_difference difference)
{
	int items = 0;

	while (plan_next(&difference))
		items++;
	return items;
}

static void test_difference(void **state)
{
	const struct netlink_route routes[] = {
		main_route("0.0.0.0/0", 2, "172.17.0.1", RTPROT_BOOT),
		main_route("172.17.0.0/16", 2, NULL, RTPROT_KERNEL),
	};
	const struct netlink_address addresses[] = {address("172.17.0.2/16", 2)};
	struct plan_input input = container(routes, 2, addresses, 1);
	struct plan_given option = {.prefix = prefix("10.0.0.0/8")};
	struct plan one, two;
	int layer;

	(void)state;
	assert_int_equal(plan_make(&input, &one), 0);
	input.options = &option;
	input.option_count = 1;
	assert_int_equal(plan_make(&input, &two), 0);
	for (layer = 0; layer < PLAN_LAYERS; layer++) {
		assert_int_equal(count(plan_added(&one, &one, layer)), 0);
		assert_int_equal(count(plan_removed(&one, &one, layer)), 0);
		assert_int_equal(count(plan_added(&one, &two, layer)), 0);
		assert_int_equal(count(plan_removed(&one, &two, layer)), 0);
	}
	assert_int_equal(count(plan_added(&two, &one, PLAN_BYPASS)), 1);
	assert_int_equal(count(plan_removed(&two, &one, PLAN_BYPASS)), 1);
	/* A throw in each table. */
	assert_int_equal(count(plan_added(&two, &one, PLAN_ROUTE)), 4);
	assert_int_equal(count(plan_removed(&two, &one, PLAN_ROUTE)), 4);
	plan_release(&one);
	plan_release(&two);
}

/* An item with another value is set again, but not removed: removal goes by the key. */
static void test_changed_value(void **state)
{
	const struct netlink_route routes[] = {
		main_route("0.0.0.0/0", 2, "172.17.0.1", RTPROT_BOOT),
		main_route("172.17.0.0/16", 2, NULL, RTPROT_KERNEL),
	};
	const struct netlink_route other_routes[] = {
		main_route("0.0.0.0/0", 2, "172.17.0.9", RTPROT_BOOT),
		main_route("172.17.0.0/16", 2, NULL, RTPROT_KERNEL),
	};
	const struct netlink_address addresses[] = {address("172.17.0.2/16", 2)};
	const struct netlink_address other_addresses[] = {address("172.17.0.3/16", 2)};
	struct plan_input input = container(routes, 2, addresses, 1);
	struct plan_input other = container(other_routes, 2, other_addresses, 1);
	struct plan_given subnet = {.prefix = prefix("172.17.0.0/16")};
	struct plan one, two;

	(void)state;
	other.docker = &subnet;
	other.docker_count = 1;
	assert_int_equal(plan_make(&input, &one), 0);
	assert_int_equal(plan_make(&other, &two), 0);
	/* The subnet has another source, and the address is another one. */
	assert_int_equal(count(plan_added(&two, &one, PLAN_BYPASS)), 2);
	assert_int_equal(count(plan_removed(&one, &two, PLAN_BYPASS)), 1);
	assert_int_equal(count(plan_added(&two, &one, PLAN_EGRESS)), 1);
	assert_int_equal(count(plan_removed(&one, &two, PLAN_EGRESS)), 0);
	/* Steered routes have another source; only the reply's destination is another one. */
	assert_int_equal(count(plan_added(&two, &one, PLAN_ROUTE)), 4);
	assert_int_equal(count(plan_removed(&one, &two, PLAN_ROUTE)), 1);
	plan_release(&one);
	plan_release(&two);
}

/* Before a datapath steers, a route to lo would leave SYNs without an answer. */
static void test_closed(void **state)
{
	const struct netlink_route routes[] = {
		main_route("0.0.0.0/0", 2, "172.17.0.1", RTPROT_BOOT),
		main_route("10.0.0.0/8", 2, "172.17.0.9", RTPROT_BOOT),
		main_route("172.17.0.0/16", 2, NULL, RTPROT_KERNEL),
	};
	const struct netlink_address addresses[] = {address("172.17.0.2/16", 2)};
	struct plan_input input = container(routes, 3, addresses, 1);
	struct plan plan;

	(void)state;
	input.closed = true;
	assert_int_equal(plan_make(&input, &plan), 0);
	assert_null(find_route(&plan, "0.0.0.0/0", PLAN_TABLE_STEER, RTN_LOCAL));
	assert_null(find_route(&plan, "0.0.0.0/0", PLAN_TABLE_DATAGRAMS, RTN_LOCAL));
	assert_null(find_route(&plan, "10.0.0.0/8", PLAN_TABLE_CAPTURE, RTN_LOCAL));
	assert_non_null(find_route(&plan, "0.0.0.0/0", PLAN_TABLE_STEER, RTN_UNREACHABLE));
	assert_non_null(find_route(&plan, "10.0.0.0/8", PLAN_TABLE_CAPTURE, RTN_UNREACHABLE));
	/* It matches no socket that is bound to a device, which this one must keep in. */
	assert_non_null(find_route(&plan, "0.0.0.0/0", PLAN_TABLE_BOUND, RTN_LOCAL));
	assert_true(has_rule(&plan, AF_INET, PLAN_RULE_CAPTURE));
	plan_release(&plan);
}

static void test_too_many(void **state)
{
	struct plan_given *many = calloc(SIDESTEP_MAX_BYPASS + 1, sizeof(*many));
	struct plan_input input = container(NULL, 0, NULL, 0);
	struct plan plan;
	size_t i;

	(void)state;
	assert_non_null(many);
	for (i = 0; i <= SIDESTEP_MAX_BYPASS; i++) {
		many[i].prefix = prefix("10.0.0.0/24");
		many[i].prefix.address[13] = (uint8_t)(i >> 8);
		many[i].prefix.address[14] = (uint8_t)i;
	}
	input.docker = many;
	input.docker_count = SIDESTEP_MAX_BYPASS + 1;
	assert_int_equal(plan_make(&input, &plan), -ENOSPC);
	free(many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_container),
		cmocka_unit_test(test_rules_do_not_grow),
		cmocka_unit_test(test_static_routes_are_captured),
		cmocka_unit_test(test_ipv6_refused),
		cmocka_unit_test(test_out_mark),
		cmocka_unit_test(test_bridge_mode),
		cmocka_unit_test(test_difference),
		cmocka_unit_test(test_changed_value),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
