// SPDX-License-Identifier: Apache-2.0
/* Tests of what the rtnetlink dumps report, in a network namespace of its own. */
#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <cmocka.h>

#include "lib/address.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "net/netlink_link.h"
#include "net/netlink_private.h"
#include "net/netlink_route.h"

/* The oldest supported system's headers lack it (Linux 5.18). */
#define ADDRESS_PROTOCOL    11
#define ADDRESS_PROTOCOL_RA 2

static struct netlink *netlink;

/* Enters a namespace whose only links are lo and a veth pair, v0 and v1. */
static int set_up(void **state)
{
	int netns_fd = netns_new();

	(void)state;
	if (netns_fd < 0 || netlink_open(&netlink) < 0 ||
	    netlink_veth_create(netlink, "v0", "v1", netns_fd, 1500) < 0 ||
	    netlink_link_up(netlink, if_nametoindex("v0"), false) < 0)
		return -1;
	return close(netns_fd);
}

static int tear_down(void **state)
{
	(void)state;
	netlink_close(netlink);
	return 0;
}

/* Adds "ADDRESS/LENGTH" to v0. @lifetime: seconds, or UINT32_MAX; @protocol: IFA_PROTO, or 0. */
static void add(const char *text, const char *peer, uint32_t lifetime, uint8_t protocol)
{
	const struct ifa_cacheinfo lifetimes = {.ifa_prefered = lifetime, .ifa_valid = lifetime};
	union netlink_request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct ifaddrmsg *info;
	struct prefix subnet;
	char bare[ADDRESS_TEXT_MAX];
	uint8_t address[16];

	(void)snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(text, "/"), text);
	assert_int_equal(address_parse(bare, address), 0);
	assert_int_equal(prefix_parse_lenient(peer ? peer : text, &subnet), 0);
	header->nlmsg_type = RTM_NEWADDR;
	header->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->ifa_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	info->ifa_prefixlen = (uint8_t)(subnet.length - (info->ifa_family == AF_INET ? 96 : 0));
	info->ifa_flags = IFA_F_NODAD;
	info->ifa_index = if_nametoindex("v0");
	netlink_put_address(header, IFA_ADDRESS, peer ? subnet.address : address);
	netlink_put_address(header, IFA_LOCAL, address);
	mnl_attr_put(header, IFA_CACHEINFO, sizeof(lifetimes), &lifetimes);
	if (protocol)
		mnl_attr_put_u8(header, ADDRESS_PROTOCOL, protocol);
	assert_int_equal(netlink_send(netlink, header), 0);
}

struct search {
	uint8_t address[16];
	struct netlink_address found;
	int count;
};

static int visit(void *context, const struct netlink_address *address)
{
	struct search *search = context;

	if (memcmp(address->address, search->address, 16) == 0) {
		search->found = *address;
		search->count++;
	}
	return 0;
}

static struct netlink_address find(const char *text)
{
	struct search search = {.count = 0};

	assert_int_equal(address_parse(text, search.address), 0);
	assert_int_equal(netlink_dump_addresses(netlink, visit, &search), 0);
	assert_int_equal(search.count, 1);
	assert_int_equal(search.found.ifindex, if_nametoindex("v0"));
	return search.found;
}

static void assert_subnet(const struct netlink_address *address, const char *text)
{
	struct prefix wanted;

	assert_int_equal(prefix_parse(text, &wanted), 0);
	assert_int_equal(address->subnet.length, wanted.length);
	assert_true(prefix_contains(&wanted, address->subnet.address));
}

static void addresses_with_lifetimes(void **state)
{
	struct netlink_address address;

	(void)state;
	add("fd00::2/64", NULL, UINT32_MAX, 0);
	add("2001:db8::2/64", NULL, 600, 0);
	add("172.17.0.2/16", NULL, UINT32_MAX, 0);
	/* The address of a DHCP lease. */
	add("172.18.0.2/16", NULL, 600, 0);
	address = find("fd00::2");
	assert_true(address.configured);
	assert_subnet(&address, "fd00::/64");
	assert_false(find("2001:db8::2").configured);
	address = find("172.17.0.2");
	assert_true(address.configured);
	assert_subnet(&address, "172.17.0.0/16");
	assert_true(find("172.18.0.2").configured);
}

static void address_of_an_advertisement(void **state)
{
	(void)state;
	add("2001:db8:1::2/64", NULL, UINT32_MAX, ADDRESS_PROTOCOL_RA);
	/* Kernels before Linux 5.18 do not keep the protocol. */
	if (find("2001:db8:1::2").configured)
		skip();
}

static void addresses_with_peers(void **state)
{
	struct netlink_address address;

	(void)state;
	add("10.0.0.1/32", "10.0.0.9/32", UINT32_MAX, 0);
	add("fd01::1/128", "fd01::9/128", UINT32_MAX, 0);
	address = find("10.0.0.1");
	assert_subnet(&address, "10.0.0.9/32");
	address = find("fd01::1");
	assert_true(address.configured);
	assert_subnet(&address, "fd01::9/128");
}

static int ignore_link(void *context, const struct netlink_link *link)
{
	(void)link;
	(*(int *)context)++;
	return 0;
}

static int ignore_route(void *context, const struct netlink_route *route)
{
	(void)route;
	(*(int *)context)++;
	return 0;
}

static int ignore_rule(void *context, const struct netlink_rule *rule)
{
	(void)rule;
	(*(int *)context)++;
	return 0;
}

static int ignore_address(void *context, const struct netlink_address *address)
{
	(void)address;
	(*(int *)context)++;
	return 0;
}

/* The kernel refuses a request with a header of another message, which it would otherwise take,
 * with a line in its log. */
static void requests_are_well_formed(void **state)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct netlink_visitor nobody = {.error = 0};
	int count = 0;
	size_t i;

	(void)state;
	assert_int_equal(netlink_dump_links(netlink, ignore_link, &count), 0);
	assert_int_equal(netlink_dump_addresses(netlink, ignore_address, &count), 0);
	for (i = 0; i < ARRAY_SIZE(families); i++) {
		assert_int_equal(netlink_dump_routes(netlink, families[i], ignore_route, &count),
				 0);
		assert_int_equal(netlink_dump_rules(netlink, families[i], ignore_rule, &count), 0);
	}
	assert_true(count > 4);
	/* The request has the header of routes. */
	assert_int_equal(netlink_dump(netlink, RTM_GETNEIGHTBL, AF_INET, NULL, &nobody), -EINVAL);
}

/* A change of the addresses in the middle of their dump. */
static int change(void *context, const struct netlink_address *address)
{
	int *visits = context;
	struct netlink *other;
	uint8_t added[16];

	(void)address;
	if ((*visits)++ > 0)
		return 0;
	assert_int_equal(netlink_open(&other), 0);
	assert_int_equal(address_parse("10.9.9.9", added), 0);
	assert_int_equal(netlink_address_add(other, if_nametoindex("v0"), added, 32), 0);
	netlink_close(other);
	return 0;
}

static void interrupted_dump(void **state)
{
	uint8_t added[16];
	int i, visits = 0;

	(void)state;
	/* The kernel answers in several parts. */
	assert_int_equal(address_parse("10.1.0.0", added), 0);
	for (i = 0; i < 1000; i++) {
		added[14] = (uint8_t)(i >> 8);
		added[15] = (uint8_t)i;
		assert_int_equal(netlink_address_add(netlink, if_nametoindex("v0"), added, 32), 0);
	}
	assert_int_equal(netlink_dump_addresses(netlink, change, &visits), -EINTR);
	assert_true(visits > 1000);
	/* Nothing of it is left for the next one. */
	for (i = 0; i < 3; i++)
		assert_int_equal(netlink_dump_addresses(netlink, ignore_address, &visits), 0);
}

static int count_v1(void *context, const struct netlink_address *address)
{
	*(int *)context += address->ifindex == if_nametoindex("v1");
	return 0;
}

static void quiet_link(void **state)
{
	int count = 0;

	(void)state;
	assert_int_equal(netlink_link_keep_quiet6(netlink, if_nametoindex("v1")), 0);
	assert_int_equal(netlink_link_up(netlink, if_nametoindex("v1"), false), 0);
	assert_int_equal(netlink_dump_addresses(netlink, count_v1, &count), 0);
	assert_int_equal(count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_with_lifetimes),
		cmocka_unit_test(address_of_an_advertisement),
		cmocka_unit_test(addresses_with_peers),
		cmocka_unit_test(requests_are_well_formed),
		cmocka_unit_test(interrupted_dump),
		cmocka_unit_test(quiet_link),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
