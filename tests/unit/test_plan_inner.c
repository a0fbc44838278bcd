// SPDX-License-Identifier: Apache-2.0
/* Checks which devices are inner ones, and what the plan makes of them. */
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <linux/rtnetlink.h>

#include <cmocka.h>

#include "lib/util.h"
#include "steering/inner_devices.h"
#include "steering/plan.h"
#include "steering/plan_inner.h"
#include "steering/plan_routes.h"
#include "support/plan_look.h"

enum {
	LO = 1,
	ETH0,
	DOCKER0,
	PORT,
	PAIR,
	TAP,
	DIRECT,
	LINKS = DIRECT,
};

/* Numbers of namespaces: the host's, and those of containers inside. */
enum {
	HOST,
	INSIDE,
	INSIDE2,
};

/* eth0 leads to the host. docker0 has a container, a veth whose other end is here, and a virtual
 * machine. A further container has a veth of its own. */
static const struct netlink_link usual[LINKS] = {
	{.ifindex = LO, .up = true, .loopback = true, .peer_nsid = -1, .name = "lo"},
	{.ifindex = ETH0,
	 .up = true,
	 .ethernet = true,
	 .veth = true,
	 .peer_nsid = HOST,
	 .name = "eth0"},
	{.ifindex = DOCKER0,
	 .up = true,
	 .ethernet = true,
	 .bridge = true,
	 .peer_nsid = -1,
	 .name = "docker0"},
	{.ifindex = PORT,
	 .up = true,
	 .ethernet = true,
	 .veth = true,
	 .peer_nsid = INSIDE,
	 .master = DOCKER0,
	 .name = "veth1"},
	{.ifindex = PAIR,
	 .up = true,
	 .ethernet = true,
	 .veth = true,
	 .peer_nsid = -1,
	 .master = DOCKER0,
	 .name = "veth2"},
	{.ifindex = TAP,
	 .up = true,
	 .ethernet = true,
	 .tun = true,
	 .peer_nsid = -1,
	 .master = DOCKER0,
	 .name = "tap0"},
	{.ifindex = DIRECT,
	 .up = true,
	 .ethernet = true,
	 .veth = true,
	 .peer_nsid = INSIDE2,
	 .name = "cali1"},
};

static struct netlink_route route(const char *destination, uint32_t ifindex, uint8_t protocol)
{
	struct netlink_route result = {.table = RT_TABLE_MAIN,
				       .ifindex = ifindex,
				       .type = RTN_UNICAST,
				       .protocol = protocol};

	assert_int_equal(prefix_parse(destination, &result.destination), 0);
	return result;
}

struct scene {
	struct netlink_link links[LINKS];
	struct netlink_route routes[8];
	struct netlink_address addresses[2];
	int32_t outer[1];
	struct plan_input input;
};

static void set_scene(struct scene *scene)
{
	static const char *const texts[] = {"172.17.0.2/16", "172.18.0.1/16"};
	size_t i;

	*scene = (struct scene) {.outer = {HOST}};
	memcpy(scene->links, usual, sizeof(usual));
	scene->routes[0] = route("0.0.0.0/0", ETH0, RTPROT_BOOT);
	scene->routes[0].has_gateway = true;
	scene->routes[1] = route("172.17.0.0/16", ETH0, RTPROT_KERNEL);
	scene->routes[2] = route("172.18.0.0/16", DOCKER0, RTPROT_KERNEL);
	scene->routes[3] = route("10.244.0.5/32", DIRECT, RTPROT_BOOT);
	scene->routes[4] = route("10.245.0.0/16", DOCKER0, RTPROT_BOOT);
	scene->routes[4].has_gateway = true;
	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		struct netlink_address *address = &scene->addresses[i];
		char bare[ADDRESS_TEXT_MAX];

		address->ifindex = i == 0 ? ETH0 : DOCKER0;
		address->configured = true;
		(void)snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(texts[i], "/"), texts[i]);
		assert_int_equal(address_parse(bare, address->address), 0);
		assert_int_equal(prefix_parse_lenient(texts[i], &address->subnet), 0);
	}
	scene->input = (struct plan_input) {
		.mode = SIDESTEP_MODE_SIDECAR,
		.links = scene->links,
		.link_count = LINKS,
		.routes = scene->routes,
		.route_count = 5,
		.addresses = scene->addresses,
		.address_count = 2,
		.inner = true,
		.outer = scene->outer,
		.outer_count = 1,
	};
}

static bool is_inner(const struct scene *scene, uint32_t ifindex)
{
	return plan_inner_is(&scene->input, plan_input_link(&scene->input, ifindex));
}

static void test_which(void **state)
{
	struct scene scene;
	uint32_t i;

	(void)state;
	set_scene(&scene);
	for (i = LO; i <= LINKS; i++) {
		const struct netlink_link *link = plan_input_link(&scene.input, i);

		assert_int_equal(plan_inner_is(&scene.input, link), i == DOCKER0 || i == DIRECT);
		assert_int_equal(plan_inner_is_port(&scene.input, link), link->master == DOCKER0);
	}
}

/* A port that leads outside, or may, makes a bridge an uplink. */
static void test_a_port_that_leads_outside(void **state)
{
	static const struct netlink_link ports[] = {
		{.veth = true, .peer_nsid = HOST},
		{.peer_nsid = -1},			 /* a network card */
		{.software = true, .peer_nsid = -1},	 /* a VLAN, bond or tunnel */
		{.software = true, .peer_nsid = INSIDE}, /* a macvlan */
	};
	struct scene scene;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(ports); i++) {
		set_scene(&scene);
		scene.links[PORT - 1] = ports[i];
		scene.links[PORT - 1].ifindex = PORT;
		scene.links[PORT - 1].ethernet = true;
		scene.links[PORT - 1].master = DOCKER0;
		assert_false(is_inner(&scene, DOCKER0));
		assert_false(plan_inner_is_port(&scene.input, &scene.links[PORT - 1]));
	}
	set_scene(&scene);
	scene.routes[0].ifindex = DOCKER0;
	assert_false(is_inner(&scene, DOCKER0));
}

static const struct plan_device *find_device(const struct plan *plan, uint32_t ifindex)
{
	const struct plan_device *devices = plan->lists[PLAN_DEVICE].items;
	size_t i;

	for (i = 0; i < plan->lists[PLAN_DEVICE].count; i++)
		if (devices[i].ifindex == ifindex)
			return &devices[i];
	return NULL;
}

static const struct netlink_route *find_route(const struct plan *plan, int family, uint32_t table,
					      uint8_t type)
{
	const struct netlink_route *routes = plan->lists[PLAN_ROUTE].items;
	const struct prefix any = prefix_default(family);
	size_t i;

	for (i = 0; i < plan->lists[PLAN_ROUTE].count; i++)
		if (routes[i].table == table && routes[i].type == type &&
		    prefix_equal(&routes[i].destination, &any))
			return &routes[i];
	return NULL;
}

/* Counts the rules for a device. */
static size_t count_rules(const struct plan *plan, const char *name, uint32_t priority)
{
	const struct netlink_rule *rules = plan->lists[PLAN_RULE].items;
	size_t count = 0, i;

	for (i = 0; i < plan->lists[PLAN_RULE].count; i++)
		if (rules[i].priority == priority && strcmp(rules[i].input_name, name) == 0)
			count++;
	return count;
}

/* The bridge stands for its ports. Uplinks are guarded, and so are all devices with --inner off. */
static void test_devices(void **state)
{
	struct scene scene;
	struct plan plan;

	(void)state;
	set_scene(&scene);
	assert_int_equal(plan_make(&scene.input, &plan), 0);
	assert_int_equal(plan.lists[PLAN_DEVICE].count, 3);
	assert_int_equal(find_device(&plan, ETH0)->kind, DATAPATH_UPLINK);
	assert_int_equal(find_device(&plan, DOCKER0)->kind, DATAPATH_INNER);
	assert_int_equal(find_device(&plan, DIRECT)->kind, DATAPATH_INNER);
	/* The subnet on an inner device's link is near, and one behind a router there is not. */
	assert_int_equal(plan_sources_of(&plan, "10.244.0.5/32"), SIDESTEP_FROM_CONNECTED);
	assert_int_equal(plan_sources_of(&plan, "10.245.0.0/16"), 0);
	plan_release(&plan);
	scene.input.inner = false;
	assert_int_equal(plan_make(&scene.input, &plan), 0);
	assert_int_equal(plan.lists[PLAN_DEVICE].count, LINKS - 1);
	assert_int_equal(find_device(&plan, DOCKER0)->kind, DATAPATH_UPLINK);
	assert_int_equal(plan_sources_of(&plan, "10.244.0.5/32"), 0);
	assert_int_equal(count_rules(&plan, "docker0", PLAN_RULE_INNER), 0);
	assert_null(find_route(&plan, AF_INET, PLAN_TABLE_INNER, RTN_PROHIBIT));
	plan_release(&plan);
}

/* Packets that are not marked end at a local route, where IPv4 needs one, or a prohibited one. */
static void test_routes_and_rules(void **state)
{
	struct scene scene;
	struct plan plan;

	(void)state;
	set_scene(&scene);
	assert_int_equal(plan_make(&scene.input, &plan), 0);
	assert_int_equal(find_route(&plan, AF_INET, PLAN_TABLE_INNER, RTN_LOCAL)->ifindex, LO);
	assert_non_null(find_route(&plan, AF_INET, PLAN_TABLE_INNER, RTN_PROHIBIT));
	assert_null(find_route(&plan, AF_INET6, PLAN_TABLE_INNER, RTN_LOCAL));
	assert_non_null(find_route(&plan, AF_INET6, PLAN_TABLE_INNER, RTN_PROHIBIT));
	assert_null(find_route(&plan, AF_INET, PLAN_TABLE_INNER_STEER, RTN_LOCAL));
	assert_int_equal(count_rules(&plan, "docker0", PLAN_RULE_INNER_OUT), 2);
	assert_int_equal(count_rules(&plan, "docker0", PLAN_RULE_INNER_STEER), 0);
	assert_int_equal(count_rules(&plan, "docker0", PLAN_RULE_INNER), 2);
	assert_int_equal(count_rules(&plan, "cali1", PLAN_RULE_INNER), 2);
	assert_int_equal(count_rules(&plan, "eth0", PLAN_RULE_INNER), 0);
	plan_release(&plan);
	/* By nftables. */
	scene.input.out_mark = SIDESTEP_OUT_MARK;
	assert_int_equal(plan_make(&scene.input, &plan), 0);
	assert_non_null(find_route(&plan, AF_INET, PLAN_TABLE_INNER_STEER, RTN_LOCAL));
	assert_int_equal(count_rules(&plan, "docker0", PLAN_RULE_INNER_STEER), 2);
	plan_release(&plan);
	scene.input.closed = true;
	assert_int_equal(plan_make(&scene.input, &plan), 0);
	assert_null(find_route(&plan, AF_INET, PLAN_TABLE_INNER, RTN_LOCAL));
	assert_null(find_route(&plan, AF_INET, PLAN_TABLE_INNER_STEER, RTN_LOCAL));
	assert_non_null(find_route(&plan, AF_INET, PLAN_TABLE_INNER, RTN_PROHIBIT));
	plan_release(&plan);
}

/* The engine made the devices of the first look, and those with a default route. */
static void test_namespaces_of_uplinks(void **state)
{
	struct inner_devices devices = {.looked = false};
	struct scene scene;

	(void)state;
	set_scene(&scene);
	scene.input.link_count = ETH0;
	scene.input.route_count = 0;
	inner_devices_look(&devices, &scene.input);
	scene.input.link_count = LINKS;
	inner_devices_look(&devices, &scene.input);
	assert_true(is_inner(&scene, DOCKER0));
	assert_true(is_inner(&scene, DIRECT));
	/* It is another network of the engine's. */
	scene.links[DIRECT - 1].peer_nsid = HOST;
	assert_false(is_inner(&scene, DIRECT));
	scene.links[DIRECT - 1].peer_nsid = INSIDE2;
	scene.input.route_count = 1;
	scene.routes[0].ifindex = DIRECT;
	inner_devices_look(&devices, &scene.input);
	scene.routes[0].ifindex = ETH0;
	inner_devices_look(&devices, &scene.input);
	assert_false(is_inner(&scene, DIRECT));
	inner_devices_release(&devices);
	/* A sidecar that comes later knows the containers behind bridges. */
	inner_devices_look(&devices, &scene.input);
	assert_true(is_inner(&scene, DOCKER0));
	assert_false(is_inner(&scene, DIRECT));
	inner_devices_release(&devices);
}

static void test_told_once(void **state)
{
	struct inner_devices devices = {.looked = false};
	struct scene scene;

	(void)state;
	set_scene(&scene);
	inner_devices_tell(&devices, &scene.input, "--inner off");
	assert_int_equal(devices.told_count, 2);
	scene.input.link_count = DOCKER0;
	inner_devices_tell(&devices, &scene.input, "--inner off");
	assert_int_equal(devices.told_count, 1);
	assert_int_equal(devices.told[0], DOCKER0);
	inner_devices_release(&devices);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which),
		cmocka_unit_test(test_a_port_that_leads_outside),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_routes_and_rules),
		cmocka_unit_test(test_namespaces_of_uplinks),
		cmocka_unit_test(test_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
