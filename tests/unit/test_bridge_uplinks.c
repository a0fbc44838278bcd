// SPDX-License-Identifier: Apache-2.0
/* Checks which ports of a bridge count as ways out of the host, and that each is told once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "steering/bridge_uplinks.h"

enum {
	BRIDGE = 2,
	BOND,
	CONTAINER,
	CARD,
	SLAVE,
	ALONE,
};

static const struct netlink_link links[] = {
	{.ifindex = 1, .name = "lo", .loopback = true},
	{.ifindex = BRIDGE, .name = "br0", .bridge = true},
	{.ifindex = BOND, .name = "bond0", .master = BRIDGE},
	{.ifindex = CONTAINER, .name = "veth1", .guest = true, .master = BRIDGE},
	{.ifindex = CARD, .name = "eth0", .master = BRIDGE},
	/* A port of a port. */
	{.ifindex = SLAVE, .name = "eth1", .master = BOND},
	{.ifindex = ALONE, .name = "eth2"},
};

static void test_which(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		const struct netlink_link *bridge = bridge_uplink_of(&links[i], links, 7);

		if (links[i].ifindex == BOND || links[i].ifindex == CARD)
			assert_ptr_equal(bridge, &links[1]);
		else
			assert_null(bridge);
	}
}

static void test_told_once(void **state)
{
	static const struct plan_device bridge = {.ifindex = BRIDGE}, other = {.ifindex = ALONE};
	struct bridge_uplinks uplinks = {0};

	(void)state;
	bridge_uplinks_check(&uplinks, links, 7, &other, 1);
	assert_int_equal(uplinks.count, 0);
	/* Without the network card, which comes later, and goes. */
	bridge_uplinks_check(&uplinks, links, 4, &bridge, 1);
	assert_int_equal(uplinks.count, 1);
	assert_int_equal(uplinks.told[0], BOND);
	bridge_uplinks_check(&uplinks, links, 7, &bridge, 1);
	assert_int_equal(uplinks.count, 2);
	assert_int_equal(uplinks.told[1], CARD);
	bridge_uplinks_check(&uplinks, links, 4, &bridge, 1);
	assert_int_equal(uplinks.count, 1);
	bridge_uplinks_release(&uplinks);
	assert_int_equal(uplinks.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which),
		cmocka_unit_test(test_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
