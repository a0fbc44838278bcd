// SPDX-License-Identifier: Apache-2.0
#include "support/two_netns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <linux/rtnetlink.h>

#include <cmocka.h>

#include "lib/address.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "net/netlink_link.h"
#include "net/netlink_route.h"

int home_netns = -1, far_netns = -1;

void enter_netns(int netns)
{
	assert_int_equal(netns_enter(netns), 0);
}

/* Moves the thread into a new namespace with lo up. Returns its descriptor. */
static int new_netns(void)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;
	int netns = netns_new();

	assert_true(netns >= 0);
	assert_int_equal(netlink_open(&netlink), 0);
	assert_int_equal(netlink_link_up(netlink, if_nametoindex("lo"), false), 0);
	return netns;
}

void add_address(const char *link, const char *text, uint8_t length)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;
	uint8_t address[16];

	assert_int_equal(address_parse(text, address), 0);
	assert_int_equal(netlink_open(&netlink), 0);
	assert_int_equal(netlink_address_add(netlink, if_nametoindex(link), address, length), 0);
}

static void set_up(const char *link, const char *ipv4, const char *ipv6)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;

	assert_int_equal(netlink_open(&netlink), 0);
	assert_int_equal(netlink_link_up(netlink, if_nametoindex(link), false), 0);
	add_address(link, ipv4, 24);
	add_address(link, ipv6, 64);
}

/* The kernel adds the local route of a new IPv6 address from a work queue, some ms later. Until
 * then a SYN leaves through the device. With it, a closed port refuses at once. */
static void wait_for_route(const char *ipv6)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
	static const struct timeval limit = {.tv_usec = 10000};
	int tries, error = 0;

	assert_int_equal(inet_pton(AF_INET6, ipv6, &address.sin6_addr), 1);
	for (tries = 0; error != ECONNREFUSED; tries++) {
		int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_true(tries < 200);
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
		error = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
		close(fd);
	}
}

int make_namespaces(void **state)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;

	(void)state;
	far_netns = new_netns();
	home_netns = new_netns();
	assert_int_equal(netlink_open(&netlink), 0);
	assert_int_equal(netlink_veth_create(netlink, "eth0", "far0", far_netns, 1500), 0);
	set_up("eth0", HOME_IPV4, HOME_IPV6);
	enter_netns(far_netns);
	set_up("far0", FAR_IPV4, FAR_IPV6);
	wait_for_route(FAR_IPV6);
	enter_netns(home_netns);
	wait_for_route(HOME_IPV6);
	return 0;
}

static void change_default_routes(int (*change)(struct netlink *, const struct netlink_route *))
{
	static const char *const gateways[] = {FAR_IPV4, FAR_IPV6};
	_cleanup_netlink_ struct netlink *netlink = NULL;
	size_t i;

	assert_int_equal(netlink_open(&netlink), 0);
	for (i = 0; i < ARRAY_SIZE(gateways); i++) {
		struct netlink_route route = {.destination = prefix_default(i ? AF_INET6 : AF_INET),
					      .table = RT_TABLE_MAIN,
					      .metric = 1024,
					      .type = RTN_UNICAST,
					      .protocol = RTPROT_STATIC,
					      .has_gateway = true};
		int error;

		assert_int_equal(address_parse(gateways[i], route.gateway), 0);
		error = change(netlink, &route);
		assert_true(error == 0 || error == -ESRCH);
	}
}

void add_default_routes(void)
{
	change_default_routes(netlink_route_replace);
}

void delete_default_routes(void)
{
	change_default_routes(netlink_route_delete);
}

int socket_in(int netns, int family)
{
	int fd;

	enter_netns(netns);
	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	enter_netns(home_netns);
	assert_true(fd >= 0);
	return fd;
}
