// SPDX-License-Identifier: Apache-2.0
/* Tests of which devices lead outside, and of the loss of the last one, in network namespaces of
 * their own. */
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "net/netlink_private.h"
#include "sidecar/way_out.h"

static struct netlink *netlink;
static int far_netns;
static struct way_out way_out;

static int set_up(void **state)
{
	(void)state;
	far_netns = netns_new();
	return far_netns < 0 || netns_new() < 0 || netlink_open(&netlink) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	netlink_close(netlink);
	return close(far_netns);
}

static int begin(void **state)
{
	(void)state;
	way_out = (struct way_out) {.timer_fd = -1};
	return way_out_open(&way_out);
}

static int end(void **state)
{
	(void)state;
	way_out_close(&way_out);
	return 0;
}

static void add_bridge(const char *name)
{
	union netlink_request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct nlattr *information;

	header->nlmsg_type = RTM_NEWLINK;
	header->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	(void)mnl_nlmsg_put_extra_header(header, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(header, IFLA_IFNAME, name);
	information = mnl_attr_nest_start(header, IFLA_LINKINFO);
	mnl_attr_put_strz(header, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(header, information);
	assert_int_equal(netlink_send(netlink, header), 0);
}

static void add_veth(const char *name, int peer_netns)
{
	assert_int_equal(netlink_veth_create(netlink, name, "peer", peer_netns, 1500), 0);
}

static void remove_link(const char *name)
{
	assert_int_equal(netlink_link_delete(netlink, if_nametoindex(name)), 0);
}

/* Waits until the grace is over. */
static bool expired(int limit_ms)
{
	struct pollfd event = {.fd = way_out.timer_fd, .events = POLLIN};

	return poll(&event, 1, limit_ms) == 1;
}

static void test_links_that_lead_outside(void **state)
{
	static const struct {
		struct netlink_link link;
		bool leads;
	} cases[] = {
		{{.ifindex = 1, .loopback = true, .peer_nsid = -1}, false},
		/* Hardware, a VPN's or an engine's TAP, a veth or macvlan. */
		{{.ifindex = 2, .peer_nsid = -1}, true},
		{{.ifindex = 2, .software = true, .tun = true, .peer_nsid = -1}, true},
		{{.ifindex = 2, .software = true, .veth = true, .peer_nsid = 0}, true},
		{{.ifindex = 2, .software = true, .peer_nsid = 4}, true},
		/* A veth within, a bridge, a dummy, the kernel's tunl0. */
		{{.ifindex = 2, .software = true, .veth = true, .peer_nsid = -1}, false},
		{{.ifindex = 2, .software = true, .bridge = true, .peer_nsid = -1}, false},
		{{.ifindex = 2, .software = true, .guest = true, .peer_nsid = -1}, false},
		{{.ifindex = 2, .software = true, .peer_nsid = -1}, false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(way_out_leads(&cases[i].link), cases[i].leads);
}

static void test_a_namespace_that_never_had_a_device_waits(void **state)
{
	(void)state;
	way_out_look(&way_out);
	assert_false(expired(0));
	assert_false(way_out.gone);
	assert_false(way_out_lost(&way_out));
}

static void test_the_last_device_is_lost_after_the_grace(void **state)
{
	int home = netns_open_own();
	uint64_t begin_ms;

	(void)state;
	add_veth("out0", far_netns);
	way_out_look(&way_out);
	assert_false(way_out.gone);
	assert_string_equal(way_out.name, "out0");
	/* Devices that are only within do not count. */
	add_bridge("bridge8");
	add_bridge("bridge9");
	add_veth("inner0", home);
	begin_ms = clock_ms();
	remove_link("out0");
	way_out_look(&way_out);
	assert_true(way_out.gone);
	/* Other changes do not prolong the grace. */
	remove_link("bridge8");
	way_out_look(&way_out);
	assert_true(expired(10 * WAY_OUT_GRACE_MS));
	assert_true(clock_ms() - begin_ms >= WAY_OUT_GRACE_MS - 1);
	assert_true(way_out_lost(&way_out));
	assert_string_equal(way_out.name, "out0");
	remove_link("bridge9");
	remove_link("inner0");
	(void)close(home);
}

static void test_a_device_that_is_replaced_is_not_lost(void **state)
{
	(void)state;
	add_veth("out1", far_netns);
	way_out_look(&way_out);
	remove_link("out1");
	way_out_look(&way_out);
	assert_true(way_out.gone);
	add_veth("out2", far_netns);
	way_out_look(&way_out);
	assert_false(way_out.gone);
	assert_false(expired(2 * WAY_OUT_GRACE_MS));
	/* It came at the last moment, and nobody has looked since. */
	remove_link("out2");
	way_out_look(&way_out);
	assert_true(expired(10 * WAY_OUT_GRACE_MS));
	add_veth("out3", far_netns);
	assert_false(way_out_lost(&way_out));
	assert_false(expired(0));
	remove_link("out3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_links_that_lead_outside),
		cmocka_unit_test_setup_teardown(test_a_namespace_that_never_had_a_device_waits,
						begin, end),
		cmocka_unit_test_setup_teardown(test_the_last_device_is_lost_after_the_grace, begin,
						end),
		cmocka_unit_test_setup_teardown(test_a_device_that_is_replaced_is_not_lost, begin,
						end),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
