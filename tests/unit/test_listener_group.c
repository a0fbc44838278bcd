// SPDX-License-Identifier: Apache-2.0
/* Checks that nobody joins the listeners once they are sealed, whatever is bound before, and that
 * somebody who was faster is noticed. Accepted connections leave their port to servers. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/util.h"
#include "proxy/listener_group.h"
#include "support/own_netns.h"

#define CONNECTIONS 64

static struct listener_group group;
static int members[2];

static void begin(int family, const char *device)
{
	static const int one = 1;
	size_t i;

	listener_group_init(&group, family);
	for (i = 0; i < 2; i++) {
		members[i] = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (family == AF_INET6)
			(void)setsockopt(members[i], IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
		if (device)
			assert_int_equal(setsockopt(members[i], SOL_SOCKET, SO_BINDTODEVICE, device,
						    (socklen_t)strlen(device)),
					 0);
		assert_int_equal(listener_group_join(&group, members[i], CONNECTIONS), 0);
	}
}

static void finish(void)
{
	(void)close(members[0]);
	(void)close(members[1]);
	listener_group_release(&group);
}

/* Binds a sharing socket to the group's port and listens. Returns it or negative errno. */
static int intrude(const char *address, int ipv6_only, int reuse, const char *device)
{
	static const int one = 1;
	struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = group.port};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = group.port};
	bool is_ipv6 = strchr(address, ':');
	_cleanup_close_ int fd = socket(is_ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse));
	if (is_ipv6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &ipv6_only, sizeof(ipv6_only));
	if (device)
		(void)setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device,
				 (socklen_t)strlen(device));
	(void)inet_pton(AF_INET, address, &ipv4.sin_addr);
	(void)inet_pton(AF_INET6, address, &ipv6.sin6_addr);
	if (is_ipv6 ? bind(fd, (struct sockaddr *)&ipv6, sizeof(ipv6)) < 0
		    : bind(fd, (struct sockaddr *)&ipv4, sizeof(ipv4)) < 0)
		return -errno;
	return listen(fd, CONNECTIONS) < 0 ? -errno : TAKE_FD(fd);
}

static unsigned int accept_all(int fd)
{
	unsigned int count = 0;
	int got;

	while ((got = accept(fd, NULL, NULL)) >= 0) {
		(void)close(got);
		count++;
	}
	return count;
}

/* Connects to the group. Each connection reaches a member, and each member gets some. */
static void assert_spread(void)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = group.port};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6,
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT,
				    .sin6_port = group.port};
	unsigned int first, second;
	int i;

	for (i = 0; i < CONNECTIONS; i++) {
		_cleanup_close_ int fd = socket(group.family, SOCK_STREAM, 0);

		assert_int_equal(group.family == AF_INET6
					 ? connect(fd, (struct sockaddr *)&ipv6, sizeof(ipv6))
					 : connect(fd, (struct sockaddr *)&ipv4, sizeof(ipv4)),
				 0);
	}
	first = accept_all(members[0]);
	second = accept_all(members[1]);
	assert_true(first > 0 && second > 0);
	assert_int_equal(first + second, CONNECTIONS);
}

static void check_sealed(int family, const char *device)
{
	static const char *const others[] = {"127.0.0.3", "0.0.0.0",	      "::",
					     "127.0.0.1", "::ffff:127.0.0.1", "::1"};
	const char *own = family == AF_INET6 ? "::1" : "127.0.0.1";
	int held[2 * 2 * 2 * ARRAY_SIZE(others)];
	size_t i, count = 0;
	int fd, variant;

	begin(family, device);
	/* The control: until then somebody can join. */
	fd = intrude(own, 1, 0, device);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(listener_group_seal(&group), 0);
	for (variant = 0; variant < 8; variant++) {
		for (i = 0; i < ARRAY_SIZE(others); i++) {
			/* Other addresses are free, and change what the kernel remembers. */
			held[count] = intrude(others[i], variant & 1, variant >> 1 & 1,
					      variant & 4 ? "lo" : NULL);
			count += held[count] >= 0;
			assert_int_equal(intrude(own, 1, variant >> 1 & 1, device), -EADDRINUSE);
			assert_int_equal(intrude(own, 1, variant >> 1 & 1, NULL), -EADDRINUSE);
		}
	}
	assert_true(count > 0);
	assert_spread();
	while (count > 0)
		(void)close(held[--count]);
	finish();
}

static void test_ipv4(void **state)
{
	(void)state;
	check_sealed(AF_INET, NULL);
}

static void test_ipv4_of_a_device(void **state)
{
	(void)state;
	check_sealed(AF_INET, "lo");
}

static void test_ipv6(void **state)
{
	(void)state;
	check_sealed(AF_INET6, NULL);
}

static void test_somebody_was_faster(void **state)
{
	static const int families[] = {AF_INET, AF_INET6};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(families); i++) {
		int fd;

		begin(families[i], NULL);
		fd = intrude(families[i] == AF_INET6 ? "::1" : "127.0.0.1", 1, 0, NULL);
		assert_true(fd >= 0);
		assert_int_equal(listener_group_seal(&group), -EADDRINUSE);
		(void)close(fd);
		finish();
	}
}

/* Binds the group's port at any address. Returns 0 or negative errno. */
static int bind_port(int reuse)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = group.port};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)), 0);
	return bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

/* SO_REUSEADDR opens the port of an accepted connection to others, and no listener's. */
static void test_servers_bind(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	_cleanup_close_ int client = socket(AF_INET, SOCK_STREAM, 0);
	_cleanup_close_ int accepted = -1;

	(void)state;
	begin(AF_INET, NULL);
	address.sin_port = group.port;
	assert_int_equal(connect(client, (const struct sockaddr *)&address, sizeof(address)), 0);
	while (accepted < 0) {
		accepted = accept(members[0], NULL, NULL);
		if (accepted < 0)
			accepted = accept(members[1], NULL, NULL);
	}
	assert_int_equal(bind_port(1), -EADDRINUSE);
	finish();
	assert_int_equal(bind_port(0), -EADDRINUSE);
	assert_int_equal(bind_port(1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4),	     cmocka_unit_test(test_ipv4_of_a_device),
		cmocka_unit_test(test_ipv6),	     cmocka_unit_test(test_somebody_was_faster),
		cmocka_unit_test(test_servers_bind),
	};

	return cmocka_run_group_tests(tests, enter_own_netns, NULL);
}
