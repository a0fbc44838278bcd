// SPDX-License-Identifier: Apache-2.0
/* Tests the ways of packets that leave by way of lo, through the tables of a VPN or of several
 * uplinks, without a network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include <cmocka.h>

#include "lib/util.h"
#include "net/other_rules.h"
#include "steering/plan.h"
#include "steering/plan_routes.h"
#include "steering/plan_ways.h"

#define ETH0 2
#define ETH1 3
#define TUN  4

#define VPN    51820
#define SECOND 200

static const struct netlink_link links[] = {
	{.ifindex = 1, .up = true, .loopback = true, .mtu = 65536, .name = "lo"},
	{.ifindex = ETH0, .up = true, .ethernet = true, .mtu = 1500, .name = "eth0"},
	{.ifindex = ETH1, .up = true, .ethernet = true, .mtu = 1400, .name = "eth1"},
	{.ifindex = TUN, .up = true, .l3 = true, .mtu = 1420, .name = "tun0"},
};

static struct prefix prefix(const char *text)
{
	struct prefix result;

	assert_int_equal(prefix_parse_lenient(text, &result), 0);
	return result;
}

static struct netlink_route route(const char *destination, uint32_t table, uint32_t ifindex)
{
	return (struct netlink_route) {
		.destination = prefix(destination),
		.table = table,
		.ifindex = ifindex,
		.type = RTN_UNICAST,
		.protocol = RTPROT_BOOT,
	};
}

static struct netlink_address address(const char *text, uint32_t ifindex)
{
	struct netlink_address result = {.ifindex = ifindex, .configured = true};
	char bare[ADDRESS_TEXT_MAX];

	(void)snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(text, "/"), text);
	assert_int_equal(address_parse(bare, result.address), 0);
	result.subnet = prefix(text);
	return result;
}

static struct netlink_rule rule(uint32_t priority, uint32_t table)
{
	return (struct netlink_rule) {
		.family = AF_INET, .priority = priority, .action = FR_ACT_TO_TBL, .table = table};
}

static struct netlink_rule rule_from(uint32_t priority, const char *source, uint32_t table)
{
	struct netlink_rule result = rule(priority, table);

	result.has_source = true;
	result.source = prefix(source);
	return result;
}

/* A container with two networks and a tunnel. The second network and the tunnel have tables of
 * their own. */
static struct netlink_route routes[5];

static struct netlink_address addresses[3];

static int make_container(void **state)
{
	(void)state;
	routes[0] = route("0.0.0.0/0", RT_TABLE_MAIN, ETH0);
	routes[1] = route("172.30.0.0/24", RT_TABLE_MAIN, ETH0);
	routes[2] = route("0.0.0.0/0", VPN, TUN);
	routes[3] = route("0.0.0.0/0", SECOND, ETH1);
	routes[4] = route("10.0.0.0/8", SECOND, TUN);
	addresses[0] = address("172.30.0.2/24", ETH0);
	addresses[1] = address("172.31.0.2/24", ETH1);
	addresses[2] = address("10.8.0.2/24", TUN);
	return 0;
}

/* Makes the plan for the container with these rules. */
static void make_plan(const struct netlink_rule *rules, size_t count, struct plan *plan)
{
	const struct plan_input input = {
		.mode = SIDESTEP_MODE_SIDECAR,
		.links = links,
		.link_count = ARRAY_SIZE(links),
		.addresses = addresses,
		.address_count = ARRAY_SIZE(addresses),
		.routes = routes,
		.route_count = ARRAY_SIZE(routes),
		.others = rules,
		.other_count = count,
	};

	assert_int_equal(plan_make(&input, plan), 0);
}

/* Returns the device by which a packet leaves, as the programs find it; 0: none. */
static uint32_t way_of(const struct plan *plan, const char *source, const char *destination)
{
	const struct plan_route *items = plan->lists[PLAN_EGRESS].items, *best = NULL, *own = NULL;
	uint8_t from[16], to[16];
	size_t i;

	assert_int_equal(address_parse(source, from), 0);
	assert_int_equal(address_parse(destination, to), 0);
	for (i = 0; i < plan->lists[PLAN_EGRESS].count; i++) {
		const struct plan_route **found;
		static const uint8_t any[16];

		if (!prefix_contains(&items[i].prefix, to))
			continue;
		if (memcmp(items[i].source, any, 16) == 0)
			found = &best;
		else if (memcmp(items[i].source, from, 16) == 0)
			found = &own;
		else
			continue;
		if (!*found || items[i].prefix.length > (*found)->prefix.length)
			*found = &items[i];
	}
	if (best && !best->value.by_source)
		return best->value.ifindex;
	return own ? own->value.ifindex : best ? best->value.ifindex : 0;
}

static void test_without_rules_of_others_the_main_table_decides(void **state)
{
	const struct netlink_rule rules[] = {rule(0, RT_TABLE_LOCAL), rule(32766, RT_TABLE_MAIN),
					     rule(32767, RT_TABLE_DEFAULT)};
	struct plan plan;

	(void)state;
	make_plan(rules, ARRAY_SIZE(rules), &plan);
	assert_int_equal(way_of(&plan, "172.31.0.2", "192.0.2.1"), ETH0);
	assert_int_equal(plan.lists[PLAN_EGRESS].count, 2);
	plan_release(&plan);
}

/* wg-quick: all but the VPN's own packets, which have a mark, and what the main table knows better.
 */
static void test_a_vpn_has_a_table_of_its_own(void **state)
{
	struct netlink_rule rules[] = {rule(32764, RT_TABLE_MAIN), rule(32765, VPN),
				       rule(32766, RT_TABLE_MAIN)};
	const struct netlink_route *items;
	uint8_t source[16];
	struct plan plan;
	size_t i, found = 0;

	(void)state;
	rules[0].least_bits = 1;
	rules[1].inverted = true;
	rules[1].mark = 51820;
	rules[1].mark_mask = UINT32_MAX;
	assert_int_equal(other_rule_judge(&rules[1]), OTHER_RULE_FOLLOWED);
	make_plan(rules, ARRAY_SIZE(rules), &plan);
	assert_int_equal(way_of(&plan, "10.8.0.2", "192.0.2.1"), TUN);
	assert_int_equal(way_of(&plan, "172.30.0.2", "192.0.2.1"), TUN);
	assert_int_equal(way_of(&plan, "172.30.0.2", "172.30.0.9"), ETH0);
	/* Steered connections have the address that they would have. */
	assert_int_equal(address_parse("10.8.0.2", source), 0);
	items = plan.lists[PLAN_ROUTE].items;
	for (i = 0; i < plan.lists[PLAN_ROUTE].count; i++)
		found += items[i].table == PLAN_TABLE_STEER && items[i].type == RTN_LOCAL &&
			 memcmp(items[i].source, source, 16) == 0;
	assert_int_equal(found, 1);
	plan_release(&plan);
}

static void test_addresses_of_a_second_uplink_have_a_way_of_their_own(void **state)
{
	const struct netlink_rule rules[] = {rule_from(1000, "172.31.0.0/24", SECOND),
					     rule(32766, RT_TABLE_MAIN)};
	struct plan plan;

	(void)state;
	make_plan(rules, ARRAY_SIZE(rules), &plan);
	assert_int_equal(way_of(&plan, "172.31.0.2", "192.0.2.1"), ETH1);
	assert_int_equal(way_of(&plan, "172.31.0.2", "10.1.2.3"), TUN);
	/* The table's default route hides what the main table knows. */
	assert_int_equal(way_of(&plan, "172.31.0.2", "172.30.0.9"), ETH1);
	assert_int_equal(way_of(&plan, "172.30.0.2", "192.0.2.1"), ETH0);
	assert_int_equal(way_of(&plan, "172.30.0.2", "10.1.2.3"), ETH0);
	plan_release(&plan);
}

static void test_a_rule_may_be_for_destinations(void **state)
{
	struct netlink_rule rules[] = {rule(1000, SECOND), rule(32766, RT_TABLE_MAIN)};
	struct plan plan;

	(void)state;
	rules[0].has_destination = true;
	rules[0].destination = prefix("10.1.0.0/16");
	make_plan(rules, ARRAY_SIZE(rules), &plan);
	assert_int_equal(way_of(&plan, "172.30.0.2", "10.1.2.3"), TUN);
	assert_int_equal(way_of(&plan, "172.30.0.2", "10.2.2.3"), ETH0);
	plan_release(&plan);
}

static void test_goto_skips_and_unreachable_ends(void **state)
{
	struct netlink_rule rules[] = {rule(1000, 0), rule(1001, SECOND),
				       rule(2000, 0), rule(2001, VPN),
				       rule(2002, 0), rule(2003, RT_TABLE_MAIN)};
	struct plan plan;

	(void)state;
	rules[0].action = FR_ACT_GOTO;
	rules[0].target = 2000;
	rules[2].action = FR_ACT_NOP;
	make_plan(rules, ARRAY_SIZE(rules), &plan);
	assert_int_equal(way_of(&plan, "172.30.0.2", "192.0.2.1"), TUN);
	plan_release(&plan);
	rules[2].action = FR_ACT_UNREACHABLE;
	make_plan(rules, ARRAY_SIZE(rules), &plan);
	assert_int_equal(way_of(&plan, "172.30.0.2", "192.0.2.1"), 0);
	plan_release(&plan);
}

static void test_fragments_fit_every_way(void **state)
{
	const struct netlink_rule rules[] = {rule_from(1000, "172.31.0.2/32", SECOND),
					     rule(32766, RT_TABLE_MAIN)};
	const struct netlink_route *items;
	struct plan plan;
	size_t i, found = 0;

	(void)state;
	make_plan(rules, ARRAY_SIZE(rules), &plan);
	items = plan.lists[PLAN_ROUTE].items;
	for (i = 0; i < plan.lists[PLAN_ROUTE].count; i++)
		found += items[i].table == PLAN_TABLE_DATAGRAMS && items[i].type == RTN_LOCAL &&
			 items[i].mtu == 1400;
	assert_int_equal(found, 1);
	plan_release(&plan);
}

static void test_rules_that_are_not_followed_are_told_apart(void **state)
{
	struct netlink_rule first = rule(50, VPN), marked = rule(1000, VPN), user = marked,
			    negated = rule_from(1000, "172.31.0.0/24", VPN);
	struct netlink_rule local = rule(0, RT_TABLE_LOCAL), forwarded = first;
	uint8_t source[16];

	(void)state;
	assert_int_equal(address_parse("172.31.0.2", source), 0);
	assert_int_equal(other_rule_judge(&first), OTHER_RULE_FIRST);
	assert_false(other_rule_holds(&first, source));
	assert_int_equal(other_rule_judge(&local), OTHER_RULE_FOLLOWED);
	memcpy(forwarded.input_name, "eth1", 5);
	assert_int_equal(other_rule_judge(&forwarded), OTHER_RULE_FOLLOWED);
	marked.mark = 7;
	marked.mark_mask = 0xff;
	user.special = true;
	negated.inverted = true;
	assert_int_equal(other_rule_judge(&marked), OTHER_RULE_SPECIAL);
	assert_int_equal(other_rule_judge(&user), OTHER_RULE_SPECIAL);
	assert_int_equal(other_rule_judge(&negated), OTHER_RULE_SPECIAL);
	assert_false(other_rule_holds(&marked, source));
	assert_false(other_rule_holds(&user, source));
	/* One that leads where all go anyway is no news. */
	marked.table = RT_TABLE_MAIN;
	assert_int_equal(other_rule_judge(&marked), OTHER_RULE_FOLLOWED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_rules_of_others_the_main_table_decides),
		cmocka_unit_test(test_a_vpn_has_a_table_of_its_own),
		cmocka_unit_test(test_addresses_of_a_second_uplink_have_a_way_of_their_own),
		cmocka_unit_test(test_a_rule_may_be_for_destinations),
		cmocka_unit_test(test_goto_skips_and_unreachable_ends),
		cmocka_unit_test(test_fragments_fit_every_way),
		cmocka_unit_test(test_rules_that_are_not_followed_are_told_apart),
	};

	return cmocka_run_group_tests_name("plan_ways", tests, make_container, NULL);
}
