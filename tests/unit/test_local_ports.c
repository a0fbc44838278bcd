// SPDX-License-Identifier: Apache-2.0
/* Ports of ours stay out of the range of clients' ports, and are nobody else's. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/local_ports.h"
#include "lib/util.h"
#include "support/own_netns.h"

#define SOCKETS 100

static void set_range(unsigned int low, unsigned int high)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "we");
	struct local_ports range;

	assert_non_null(file);
	assert_true(fprintf(file, "%u %u", low, high) > 0);
	assert_int_equal(fclose(file), 0);
	assert_true(local_ports_read(&range));
	assert_true(range.low == low && range.high == high);
}

/* Binds a socket to any address. Returns its port, or negative errno. */
static int bind_any(int fd, int family)
{
	struct sockaddr_in6 address = {.sin6_family = (sa_family_t)family}, bound;
	socklen_t size = sizeof(bound);
	int error = local_ports_bind_above(fd, (struct sockaddr *)&address,
					   family == AF_INET6 ? sizeof(address)
							      : sizeof(struct sockaddr_in));

	if (error < 0)
		return error;
	assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &size), 0);
	/* Both families have it at the same place. */
	assert_int_equal(bound.sin6_port, address.sin6_port);
	return ntohs(bound.sin6_port);
}

static void check_ports(int low, int high)
{
	static const int families[] = {AF_INET, AF_INET6}, types[] = {SOCK_STREAM, SOCK_DGRAM};
	int fds[SOCKETS], i;

	for (i = 0; i < SOCKETS; i++) {
		int family = families[i & 1], port;

		fds[i] = socket(family, types[i >> 1 & 1] | SOCK_CLOEXEC, 0);
		port = bind_any(fds[i], family);
		assert_true(port >= low && port <= high);
	}
	for (i = 0; i < SOCKETS; i++)
		(void)close(fds[i]);
}

static void test_above(void **state)
{
	(void)state;
	set_range(32768, 60999);
	check_ports(61000, 65535);
	set_range(1024, 65000);
	check_ports(65001, 65535);
}

static void test_nothing_above(void **state)
{
	(void)state;
	set_range(20000, 65535);
	check_ports(20000, 65535);
}

/* Somebody has the only port above the range, and would share it. */
static void test_taken(void **state)
{
	static const int one = 1;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(65535)};
	_cleanup_close_ int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int port;

	(void)state;
	set_range(20000, 65534);
	assert_int_equal(setsockopt(holder, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	assert_int_equal(bind(holder, (const struct sockaddr *)&address, sizeof(address)), 0);
	port = bind_any(fd, AF_INET);
	assert_true(port >= 20000 && port <= 65534);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_above),
		cmocka_unit_test(test_nothing_above),
		cmocka_unit_test(test_taken),
	};

	if (geteuid() != 0) {
		(void)puts("1..0 # SKIP network namespaces need root");
		return 0;
	}
	return cmocka_run_group_tests(tests, enter_own_netns, NULL);
}
