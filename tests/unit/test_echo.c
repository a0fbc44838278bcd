// SPDX-License-Identifier: Apache-2.0
/* Tests which connections are the awaited echo, and which of them are reported. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/echo.h"

static struct sockaddr_storage destination(uint32_t address, uint16_t port)
{
	struct sockaddr_storage storage = {.ss_family = AF_INET};
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)&storage;

	ipv4->sin_addr.s_addr = htonl(address);
	ipv4->sin_port = htons(port);
	return storage;
}

static void await(struct echo *echo, const struct sockaddr_storage *address)
{
	echo_await(echo, (const struct sockaddr_in *)address);
}

static bool is_reported(const struct echo *echo)
{
	struct pollfd wait = {.fd = echo->fd, .events = POLLIN};

	return poll(&wait, 1, 0) == 1;
}

static void test_destination(void **state)
{
	const struct sockaddr_storage echoed = destination(0xcb007101, 80);
	const struct sockaddr_storage port = destination(0xcb007101, 81);
	const struct sockaddr_storage address = destination(0xcb007102, 80);
	const struct sockaddr_storage none = destination(0, 0), ipv6 = {.ss_family = AF_INET6};
	struct echo echo;

	(void)state;
	echo_init(&echo);
	assert_int_equal(echo_open(&echo), 0);
	assert_false(echo_has_come(&echo, &none));
	assert_false(echo_has_come(&echo, &ipv6));
	await(&echo, &echoed);
	assert_true(echo_has_come(&echo, &echoed));
	assert_false(echo_has_come(&echo, &port));
	assert_false(echo_has_come(&echo, &address));
	assert_false(echo_has_come(&echo, &ipv6));
	echo_free(&echo);
}

/* A thread may recognise an echo just before another one is awaited. That is no echo of the
 * second. */
static void test_late_report(void **state)
{
	const struct sockaddr_storage first = destination(0xcb007101, 80);
	const struct sockaddr_storage second = destination(0xcb007102, 90);
	struct echo echo;

	(void)state;
	echo_init(&echo);
	assert_int_equal(echo_open(&echo), 0);
	await(&echo, &first);
	assert_true(echo_has_come(&echo, &first));
	await(&echo, &second);
	echo_report(&echo, &first);
	assert_false(is_reported(&echo));
	echo_report(&echo, &second);
	assert_true(is_reported(&echo));
	await(&echo, &first);
	assert_false(is_reported(&echo));
	echo_free(&echo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_destination),
		cmocka_unit_test(test_late_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
