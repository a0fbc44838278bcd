// SPDX-License-Identifier: Apache-2.0
/* Tests what counts as connected, and what as advertised by a neighbour, without a network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <linux/rtnetlink.h>

#include <cmocka.h>

#include "steering/plan.h"
#include "steering/plan_routes.h"
#include "support/plan_look.h"

static const struct netlink_link links[] = {
	{.ifindex = 2, .up = true, .ethernet = true, .name = "eth0"},
	{.ifindex = 3, .up = true, .ethernet = true, .name = "eth1"},
};

static struct netlink_route route(const char *destination, const char *gateway, uint8_t protocol)
{
	struct netlink_route result = {
		.table = RT_TABLE_MAIN,
		.ifindex = 2,
		.has_gateway = gateway != NULL,
		.type = RTN_UNICAST,
		.protocol = protocol,
	};

	assert_int_equal(prefix_parse(destination, &result.destination), 0);
	if (gateway)
		assert_int_equal(address_parse(gateway, result.gateway), 0);
	return result;
}

static struct netlink_address address(const char *text, const char *subnet, uint32_t ifindex)
{
	struct netlink_address result = {.ifindex = ifindex, .configured = true};

	assert_int_equal(address_parse(text, result.address), 0);
	assert_int_equal(prefix_parse(subnet, &result.subnet), 0);
	return result;
}

static bool is_captured(const struct plan *plan, const char *text)
{
	const struct netlink_route *routes = plan->lists[PLAN_ROUTE].items;
	struct prefix wanted;
	size_t i;

	assert_int_equal(prefix_parse(text, &wanted), 0);
	for (i = 0; i < plan->lists[PLAN_ROUTE].count; i++)
		if (routes[i].table == PLAN_TABLE_CAPTURE && routes[i].type == RTN_LOCAL &&
		    prefix_equal(&routes[i].destination, &wanted))
			return true;
	return false;
}

/* The kernel makes the same routes for prefixes that a neighbour advertises. */
static void connected_subnets(void **state)
{
	const struct netlink_route routes[] = {
		route("fd00::/64", NULL, RTPROT_KERNEL),
		route("2000::/3", NULL, RTPROT_KERNEL),
		route("2001:db8::/64", NULL, RTPROT_KERNEL),
		route("2001:db8:1::/64", NULL, RTPROT_KERNEL),
		route("10.0.0.9/32", NULL, RTPROT_KERNEL),
	};
	struct netlink_address addresses[] = {
		address("fd00::2", "fd00::/64", 2),
		address("2001:db8::2", "2001:db8::/64", 2),
		address("2001:db8:1::2", "2001:db8:1::/64", 3),
		/* The peer's on a point-to-point link. */
		address("10.0.0.1", "10.0.0.9/32", 2),
	};
	const struct plan_input input = {
		.mode = SIDESTEP_MODE_SIDECAR,
		.links = links,
		.link_count = 2,
		.addresses = addresses,
		.address_count = 4,
		.routes = routes,
		.route_count = 5,
	};
	struct plan plan;

	(void)state;
	/* It follows the advertisement. */
	addresses[1].configured = false;
	assert_int_equal(plan_make(&input, &plan), 0);
	assert_int_not_equal(plan_sources_of(&plan, "fd00::/64"), 0);
	assert_int_not_equal(plan_sources_of(&plan, "10.0.0.9/32"), 0);
	assert_int_equal(plan_sources_of(&plan, "2000::/3"), 0);
	assert_int_equal(plan_sources_of(&plan, "2001:db8::/64"), 0);
	assert_int_not_equal(plan_sources_of(&plan, "2001:db8::2/128"), 0);
	/* The address with this prefix is at another device. */
	assert_int_equal(plan_sources_of(&plan, "2001:db8:1::/64"), 0);
	/* Before the main table, or the routes there would take effect. */
	assert_true(is_captured(&plan, "2000::/3"));
	assert_true(is_captured(&plan, "2001:db8::/64"));
	assert_true(is_captured(&plan, "2001:db8:1::/64"));
	assert_false(is_captured(&plan, "fd00::/64"));
	plan_release(&plan);
}

static void advertised_routes(void **state)
{
	const struct netlink_address addresses[] = {
		address("fd00::2", "fd00::/64", 2),
		address("fe80::2", "fe80::/64", 2),
		address("172.17.0.2", "172.17.0.0/16", 2),
	};
	const struct plan_input input = {.addresses = addresses, .address_count = 3};
	const struct {
		struct netlink_route route;
		bool advertised;
	} cases[] = {
		{route("2000::/3", NULL, RTPROT_KERNEL), true},
		{route("::/0", "fe80::1", RTPROT_RA), true},
		{route("fd00:1::/64", "fe80::1", RTPROT_RA), true},
		/* The engine's and the operator's. */
		{route("fd00::/64", NULL, RTPROT_KERNEL), false},
		{route("fe80::/64", NULL, RTPROT_KERNEL), false},
		{route("::/0", "fd00::1", RTPROT_BOOT), false},
		{route("2000::/3", NULL, RTPROT_STATIC), false},
		{route("172.17.0.0/16", NULL, RTPROT_KERNEL), false},
		{route("10.0.0.0/8", NULL, RTPROT_KERNEL), false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(plan_input_advertised(&input, &cases[i].route),
				 cases[i].advertised);
}

static void routers_that_nobody_needs(void **state)
{
	struct netlink_address addresses[] = {
		address("fd00::2", "fd00::/64", 2),
		address("fe80::3", "fe80::/64", 3),
		address("172.17.0.2", "172.17.0.0/16", 3),
	};
	struct netlink_route routes[] = {
		route("0.0.0.0/0", "172.17.0.1", RTPROT_BOOT),
		route("::/0", "fe80::1", RTPROT_RA),
		route("::/0", "fd00::1", RTPROT_BOOT),
	};
	struct plan_input input = {
		.addresses = addresses, .address_count = 3, .routes = routes, .route_count = 3};

	(void)state;
	addresses[1].link_local = true;
	assert_true(plan_input_needs_no_router(&input, &links[0]));
	/* IPv6 comes to this device by advertisement or not at all. */
	assert_false(plan_input_needs_no_router(&input, &links[1]));
	/* The advertised default route is the only one. */
	input.route_count = 2;
	assert_false(plan_input_needs_no_router(&input, &links[0]));
	input.route_count = 3;
	addresses[0].configured = false;
	assert_false(plan_input_needs_no_router(&input, &links[0]));
}

static struct prefix prefix_of(const char *text)
{
	struct prefix result;

	assert_int_equal(prefix_parse(text, &result), 0);
	return result;
}

static void assert_origin(const struct plan *plan, const char *subnet, const char *wanted)
{
	const struct plan_bypass *bypass = plan->lists[PLAN_BYPASS].items;
	struct prefix key = prefix_of(subnet);
	char text[BYPASS_ORIGIN_MAX];
	size_t i;

	for (i = 0; i < plan->lists[PLAN_BYPASS].count; i++)
		if (prefix_equal(&bypass[i].prefix, &key))
			break;
	assert_true(i < plan->lists[PLAN_BYPASS].count);
	assert_string_equal(bypass_origin(&bypass[i].origin, text), wanted);
}

/* Each entry knows its origins by name. */
static void origins(void **state)
{
	const struct netlink_route routes[] = {route("172.17.0.0/16", NULL, RTPROT_KERNEL)};
	const struct netlink_address addresses[] = {address("172.17.0.2", "172.17.0.0/16", 2)};
	const struct plan_given docker[] = {
		{.prefix = prefix_of("172.17.0.0/16"), .network = "bridge"},
		{.prefix = prefix_of("10.2.0.0/16"), .network = "backend"},
	};
	const struct plan_given options[] = {
		{.prefix = prefix_of("10.2.0.0/16"), .option = BYPASS_OPTION_ADDED},
		{.prefix = prefix_of("10.3.0.0/16"), .option = BYPASS_OPTION_BYPASS},
	};
	const struct plan_input input = {
		.mode = SIDESTEP_MODE_SIDECAR,
		.links = links,
		.link_count = 2,
		.addresses = addresses,
		.address_count = 1,
		.routes = routes,
		.route_count = 1,
		.docker = docker,
		.docker_count = 2,
		.options = options,
		.option_count = 2,
	};
	struct plan plan;

	(void)state;
	assert_int_equal(plan_make(&input, &plan), 0);
	assert_origin(&plan, "172.17.0.0/16", "interface eth0, docker network bridge");
	assert_origin(&plan, "10.2.0.0/16", "sidestep bypass add, docker network backend");
	assert_origin(&plan, "10.3.0.0/16", "option --bypass");
	assert_origin(&plan, "172.17.0.2/32", "local");
	plan_release(&plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connected_subnets),
		cmocka_unit_test(origins),
		cmocka_unit_test(advertised_routes),
		cmocka_unit_test(routers_that_nobody_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
