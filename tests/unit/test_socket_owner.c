// SPDX-License-Identifier: Apache-2.0
/* The owner of a socket, found by its two ends. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/address.h"
#include "lib/util.h"
#include "net/socket_owner.h"

#define UID 4711

static struct socket_owners owners;

static struct sockaddr *any(struct endpoint *endpoint)
{
	return (struct sockaddr *)&endpoint->address;
}

static void name_of(int fd, struct endpoint *ret_endpoint)
{
	socklen_t size = sizeof(ret_endpoint->address);

	assert_int_equal(getsockname(fd, any(ret_endpoint), &size), 0);
}

/* Makes a socket of user UID. */
static int socket_of_user(int family)
{
	int fd;

	assert_int_equal(seteuid(UID), 0);
	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(seteuid(0), 0);
	assert_true(fd >= 0);
	return fd;
}

static void test_owner(void **state)
{
	static const char *const addresses[] = {"127.0.0.1:0", "[::1]:0"};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(addresses); i++) {
		struct endpoint server, client;
		struct socket_owner owner;
		int listener, fd, far;

		assert_int_equal(endpoint_parse(addresses[i], &server), 0);
		listener = socket(server.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(listener, any(&server), endpoint_size(&server)), 0);
		assert_int_equal(listen(listener, 1), 0);
		name_of(listener, &server);
		fd = socket_of_user(server.address.ss_family);
		assert_int_equal(connect(fd, any(&server), endpoint_size(&server)), 0);
		name_of(fd, &client);
		assert_int_equal(socket_owners_find(&owners, any(&client), any(&server), &owner),
				 0);
		assert_int_equal(owner.uid, UID);
		/* The other end is ours. */
		far = accept(listener, NULL, NULL);
		assert_int_equal(socket_owners_find(&owners, any(&server), any(&client), &owner),
				 0);
		assert_int_equal(owner.uid, 0);
		/* Nobody owns a connection in TIME_WAIT, and a listener does not count. */
		close(fd);
		close(far);
		assert_int_equal(socket_owners_find(&owners, any(&client), any(&server), &owner),
				 -ENOENT);
		assert_int_equal(socket_owners_find(&owners, any(&server), any(&client), &owner),
				 -ENOENT);
		close(listener);
	}
}

static int setup(void **state)
{
	(void)state;
	return socket_owners_open(&owners);
}

static int teardown(void **state)
{
	(void)state;
	socket_owners_close(&owners);
	socket_owners_close(&owners);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owner),
	};

	if (geteuid() != 0) {
		(void)puts("1..0 # SKIP sockets of another user need root");
		return 0;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}
