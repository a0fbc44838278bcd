// SPDX-License-Identifier: Apache-2.0
/* Tests the choice of the host by the routes alone, without a network. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <linux/rtnetlink.h>

#include <cmocka.h>

#include "control/control_host.h"

static struct control_host host;

/* Adds a route of the main table. @gateway may be NULL. */
static void add(const char *destination, const char *gateway, uint32_t ifindex, uint8_t protocol,
		uint32_t metric)
{
	struct netlink_route route = {.table = RT_TABLE_MAIN,
				      .metric = metric,
				      .ifindex = ifindex,
				      .has_gateway = gateway != NULL,
				      .type = RTN_UNICAST,
				      .protocol = protocol};

	assert_int_equal(prefix_parse(destination, &route.destination), 0);
	if (gateway)
		assert_int_equal(address_parse(gateway, route.gateway), 0);
	assert_int_equal(control_host_add(&host, &route), 0);
}

static bool is_host(const char *peer, uint32_t scope)
{
	uint8_t address[16];
	const char *why;

	assert_int_equal(address_parse(peer, address), 0);
	return control_host_route(&host, address, scope, &why);
}

/* The routes of a container on Docker's bridge. */
static int bridge_routes(void **state)
{
	(void)state;
	control_host_clear(&host);
	add("0.0.0.0/0", "172.17.0.1", 2, RTPROT_BOOT, 0);
	add("172.17.0.0/16", NULL, 2, RTPROT_KERNEL, 0);
	add("::/0", "fd30::1", 2, RTPROT_BOOT, 1024);
	add("fd30::/64", NULL, 2, RTPROT_KERNEL, 256);
	add("fe80::/64", NULL, 2, RTPROT_KERNEL, 256);
	return 0;
}

static void gateway_is_the_host(void **state)
{
	(void)state;
	assert_true(is_host("172.17.0.1", 0));
	assert_true(is_host("fd30::1", 0));
	assert_false(is_host("172.17.0.3", 0));
	assert_false(is_host("fd30::3", 0));
	assert_false(is_host("fe80::3", 2));
}

static void others_come_through_the_host(void **state)
{
	(void)state;
	assert_true(is_host("198.51.100.2", 0));
	assert_true(is_host("2001:db8::2", 0));
	/* A second network of the container is connected, too. */
	add("172.31.0.0/16", NULL, 3, RTPROT_KERNEL, 0);
	assert_false(is_host("172.31.0.1", 0));
	assert_false(is_host("172.31.0.3", 0));
	assert_true(is_host("172.32.0.3", 0));
	/* A route by another machine of the network leads away from the host. */
	add("198.51.100.0/24", "172.17.0.3", 2, RTPROT_STATIC, 0);
	assert_false(is_host("198.51.100.2", 0));
	add("198.51.100.0/25", "172.17.0.1", 2, RTPROT_STATIC, 0);
	assert_true(is_host("198.51.100.2", 0));
}

static void announced_routes_name_no_host(void **state)
{
	(void)state;
	add("::/0", "fe80::3", 2, RTPROT_RA, 512);
	assert_false(is_host("fe80::3", 2));
	/* The better route towards others is the announced one. */
	assert_false(is_host("2001:db8::2", 0));
	assert_true(is_host("fd30::1", 0));
}

static void link_local_gateway_counts_on_its_device(void **state)
{
	(void)state;
	control_host_clear(&host);
	add("::/0", "fe80::1", 2, RTPROT_BOOT, 1024);
	add("fe80::/64", NULL, 2, RTPROT_KERNEL, 256);
	add("fe80::/64", NULL, 3, RTPROT_KERNEL, 256);
	assert_true(is_host("fe80::1", 2));
	assert_false(is_host("fe80::1", 3));
	assert_true(is_host("2001:db8::2", 0));
}

static void nobody_is_the_host_without_a_default_route(void **state)
{
	struct netlink_route other = {.table = 9300, .type = RTN_LOCAL};

	(void)state;
	control_host_clear(&host);
	assert_false(is_host("198.51.100.2", 0));
	add("172.20.0.0/16", NULL, 2, RTPROT_KERNEL, 0);
	/* Other tables do not count. */
	other.destination = prefix_default(AF_INET);
	assert_int_equal(control_host_add(&host, &other), 0);
	assert_false(is_host("172.20.0.1", 0));
	assert_false(is_host("198.51.100.2", 0));
	/* One family's gateway is none of the other's. */
	add("::/0", "fd30::1", 2, RTPROT_BOOT, 1024);
	assert_false(is_host("172.20.0.1", 0));
	/* A default route without a gateway names nobody. */
	add("0.0.0.0/0", NULL, 2, RTPROT_BOOT, 0);
	assert_false(is_host("198.51.100.2", 0));
}

static int teardown(void **state)
{
	(void)state;
	control_host_free(&host);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(gateway_is_the_host, bridge_routes),
		cmocka_unit_test_setup(others_come_through_the_host, bridge_routes),
		cmocka_unit_test_setup(announced_routes_name_no_host, bridge_routes),
		cmocka_unit_test(link_local_gateway_counts_on_its_device),
		cmocka_unit_test(nobody_is_the_host_without_a_default_route),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
