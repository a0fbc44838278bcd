// SPDX-License-Identifier: Apache-2.0
/* Tests the plan while the internet is off: DNS is steered, whatever is bypassed. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <linux/rtnetlink.h>

#include <cmocka.h>

#include "steering/plan.h"
#include "steering/plan_routes.h"

static const struct netlink_link links[] = {
	{.ifindex = 1, .up = true, .loopback = true, .name = "lo"},
	{.ifindex = 2, .up = true, .ethernet = true, .name = "eth0"},
};

static struct prefix prefix(const char *text)
{
	struct prefix result;

	assert_int_equal(prefix_parse(text, &result), 0);
	return result;
}

static struct plan plan_with(bool internet_off, bool ipv6_refused)
{
	struct netlink_address addresses[] = {
		{.ifindex = 2, .configured = true, .subnet = prefix("172.17.0.0/16")},
		{.ifindex = 2, .configured = true, .subnet = prefix("fd00::/64")},
	};
	const struct netlink_route routes[] = {
		{.destination = prefix("172.17.0.0/16"),
		 .table = RT_TABLE_MAIN,
		 .ifindex = 2,
		 .type = RTN_UNICAST,
		 .protocol = RTPROT_KERNEL},
		{.destination = prefix("fd00::/64"),
		 .table = RT_TABLE_MAIN,
		 .ifindex = 2,
		 .type = RTN_UNICAST,
		 .protocol = RTPROT_KERNEL},
	};
	const struct plan_input input = {
		.mode = SIDESTEP_MODE_SIDECAR,
		.links = links,
		.link_count = 2,
		.addresses = addresses,
		.address_count = 2,
		.routes = routes,
		.route_count = 2,
		.internet_off = internet_off,
		.ipv6_refused = ipv6_refused,
	};
	struct plan plan;

	assert_int_equal(address_parse("172.17.0.2", addresses[0].address), 0);
	assert_int_equal(address_parse("fd00::2", addresses[1].address), 0);
	assert_int_equal(plan_make(&input, &plan), 0);
	return plan;
}

/* Counts the routes of the table for DNS that have this type, device and family. */
static int dns_routes(const struct plan *plan, uint8_t type, uint32_t ifindex, int family)
{
	const struct netlink_route *routes = plan->lists[PLAN_ROUTE].items;
	size_t i;
	int count = 0;

	for (i = 0; i < plan->lists[PLAN_ROUTE].count; i++)
		count += routes[i].table == PLAN_TABLE_DNS && routes[i].type == type &&
			 routes[i].ifindex == ifindex &&
			 prefix_is_default(&routes[i].destination) &&
			 address_is_ipv4(routes[i].destination.address) == (family == AF_INET);
	return count;
}

static int dns_rules(const struct plan *plan, int family, uint8_t protocol)
{
	const struct netlink_rule *rules = plan->lists[PLAN_RULE].items;
	size_t i;
	int count = 0;

	for (i = 0; i < plan->lists[PLAN_RULE].count; i++)
		count += rules[i].family == family && rules[i].priority == PLAN_RULE_DNS &&
			 rules[i].table == PLAN_TABLE_DNS && rules[i].ip_protocol == protocol &&
			 rules[i].port == 53 && strcmp(rules[i].input_name, "lo") == 0;
	return count;
}

static void test_rules_and_routes(void **state)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct plan on = plan_with(false, false), off = plan_with(true, false);
	size_t i;

	(void)state;
	assert_int_equal(off.lists[PLAN_RULE].count, on.lists[PLAN_RULE].count + 4);
	for (i = 0; i < 2; i++) {
		assert_int_equal(dns_rules(&off, families[i], IPPROTO_UDP), 1);
		assert_int_equal(dns_rules(&off, families[i], IPPROTO_TCP), 1);
		/* For sockets that are bound to a device as well. */
		assert_int_equal(dns_routes(&off, RTN_LOCAL, LOOPBACK_IFINDEX, families[i]), 1);
		assert_int_equal(dns_routes(&off, RTN_LOCAL, 2, families[i]), 1);
		assert_int_equal(dns_routes(&off, RTN_UNREACHABLE, 0, families[i]), 1);
		assert_int_equal(dns_routes(&on, RTN_LOCAL, LOOPBACK_IFINDEX, families[i]), 0);
	}
	plan_release(&on);
	plan_release(&off);
}

static void test_refused_family(void **state)
{
	struct plan plan = plan_with(true, true);

	(void)state;
	assert_int_equal(dns_routes(&plan, RTN_LOCAL, LOOPBACK_IFINDEX, AF_INET6), 0);
	assert_int_equal(dns_routes(&plan, RTN_UNREACHABLE, 0, AF_INET6), 1);
	plan_release(&plan);
}

/* Only what the namespace has itself is bypassed without exception. */
static void test_bypasses(void **state)
{
	struct plan on = plan_with(false, false), off = plan_with(true, false);
	const struct plan_bypass *bypass = off.lists[PLAN_BYPASS].items;
	const struct plan_bypass *before = on.lists[PLAN_BYPASS].items;
	size_t i;

	(void)state;
	assert_int_equal(off.lists[PLAN_BYPASS].count, on.lists[PLAN_BYPASS].count);
	for (i = 0; i < off.lists[PLAN_BYPASS].count; i++) {
		bool local = bypass[i].value.sources & SIDESTEP_FROM_LOCAL;

		assert_int_equal(bypass[i].value.sources,
				 before[i].value.sources | (local ? 0 : SIDESTEP_EXCEPT_DNS));
	}
	plan_release(&on);
	plan_release(&off);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_and_routes),
		cmocka_unit_test(test_refused_family),
		cmocka_unit_test(test_bypasses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
