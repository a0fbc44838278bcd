// SPDX-License-Identifier: Apache-2.0
/* Ends of connections in TIME_WAIT give their ports back. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/address.h"
#include "lib/clock.h"
#include "lib/util.h"
#include "proxy/time_waits.h"
#include "support/two_netns.h"

#define PORTS	   100
#define RANGE_PATH "/proc/sys/net/ipv4/ip_local_port_range"

static struct endpoint server;

static int listen_far(const char *address)
{
	socklen_t size = sizeof(server.address);
	int fd;

	assert_int_equal(endpoint_parse(address, &server), 0);
	fd = socket_in(far_netns, server.address.ss_family);
	assert_int_equal(bind(fd, (struct sockaddr *)&server.address, endpoint_size(&server)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&server.address, &size), 0);
	return fd;
}

/* Opens a connection and closes it at both ends, the client first. Returns the client's closed
 * socket, or negative errno. */
static int converse(int listener)
{
	int client = socket_in(home_netns, server.address.ss_family), far;
	char byte;

	if (connect(client, (struct sockaddr *)&server.address, endpoint_size(&server)) < 0) {
		int error = -errno;

		close(client);
		return error;
	}
	far = accept(listener, NULL, NULL);
	assert_int_equal(shutdown(client, SHUT_WR), 0);
	assert_int_equal(read(far, &byte, 1), 0);
	close(far);
	assert_int_equal(read(client, &byte, 1), 0);
	return client;
}

/* Returns how many of @count connections find a port. */
static int run(int listener, struct time_waits *waits, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		int client = converse(listener);

		if (client == -EADDRNOTAVAIL)
			break;
		assert_true(client >= 0);
		if (waits)
			time_waits_add(waits, client, (struct sockaddr *)&server.address, 2,
				       clock_ms());
		close(client);
	}
	return i;
}

static void test_ports(void **state)
{
	static const char *const addresses[] = {FAR_IPV4 ":0", "[" FAR_IPV6 "]:0"};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct time_waits waits = {0};
		int listener = listen_far(addresses[i]), run_count;

		assert_true(run(listener, NULL, 2 * PORTS) <= PORTS);
		close(listener);
		/* Another port of the server's, so all of ours are free again. */
		listener = listen_far(addresses[i]);
		run_count = run(listener, &waits, 10 * PORTS);
		if (waits.off) {
			print_message("Linux 6.0 ends connections in TIME_WAIT\n");
			skip();
		}
		assert_int_equal(run_count, 10 * PORTS);
		assert_int_equal(waits.capacity, PORTS / 4 / 2);
		time_waits_clear(&waits);
		close(listener);
	}
}

/* A connection that is not in TIME_WAIT survives, whatever was remembered of its ends. */
static void test_alive(void **state)
{
	struct time_waits waits = {0};
	int listener = listen_far(FAR_IPV4 ":0"), alive, far;
	char byte;

	(void)state;
	alive = socket_in(home_netns, AF_INET);
	assert_int_equal(connect(alive, (struct sockaddr *)&server.address, endpoint_size(&server)),
			 0);
	far = accept(listener, NULL, NULL);
	time_waits_add(&waits, alive, (struct sockaddr *)&server.address, 1, clock_ms());
	assert_int_equal(run(listener, &waits, PORTS / 2), PORTS / 2);
	assert_int_equal(send(far, "x", 1, 0), 1);
	assert_int_equal(recv(alive, &byte, 1, 0), 1);
	time_waits_clear(&waits);
	close(alive);
	close(far);
	close(listener);
}

static void test_unix(void **state)
{
	const struct sockaddr peer = {.sa_family = AF_UNIX};
	struct time_waits waits = {0};

	(void)state;
	time_waits_add(&waits, -1, &peer, 1, 0);
	assert_null(waits.ring);
}

/* Without /proc/sys the kernel's default range counts, 32768 to 60999. */
static void test_unknown_range(void **state)
{
	struct time_waits waits = {0};
	int listener = listen_far(FAR_IPV4 ":0");

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("/dev/null", RANGE_PATH, NULL, MS_BIND, NULL), 0);
	assert_int_equal(run(listener, &waits, 1), 1);
	assert_int_equal(waits.capacity, 28232 / 4 / 2);
	assert_int_equal(umount(RANGE_PATH), 0);
	time_waits_clear(&waits);
	close(listener);
}

static int setup(void **state)
{
	FILE *file;

	make_namespaces(state);
	file = fopen(RANGE_PATH, "we");
	assert_non_null(file);
	assert_true(fprintf(file, "40000 %d", 40000 + PORTS - 1) > 0);
	assert_int_equal(fclose(file), 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_alive),
		cmocka_unit_test(test_unix),
		cmocka_unit_test(test_unknown_range),
	};

	if (geteuid() != 0) {
		(void)puts("1..0 # SKIP network namespaces need root");
		return 0;
	}
	return cmocka_run_group_tests(tests, setup, NULL);
}
