// SPDX-License-Identifier: Apache-2.0
#include "support/two_netns.h"

#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/address.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "net/netlink_link.h"

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

/* Waits until the kernel has noticed the carrier of a link in this namespace. Before that, IPv6
 * connections by it fail with EHOSTUNREACH. */
static void await_carrier(const char *link)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_flags = 0};
	int i;

	(void)strncpy(request.ifr_name, link, sizeof(request.ifr_name) - 1);
	for (i = 0; i < 5000 && !(request.ifr_flags & IFF_RUNNING); i++) {
		(void)usleep(1000);
		assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
	}
	assert_true(request.ifr_flags & IFF_RUNNING);
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
	await_carrier("far0");
	enter_netns(home_netns);
	await_carrier("eth0");
	return 0;
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
