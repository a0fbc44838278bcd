// SPDX-License-Identifier: Apache-2.0
/* Checks on real connections which end has opened them, in each state in which the kernel tells. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
/* netinet/tcp.h has an older struct tcp_info. */
#include <linux/sockios.h>
#include <linux/tcp.h>

#include <cmocka.h>

#include "steering/inbound_seed.h"

static int opener, accepted;

static int begin(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t size = sizeof(address);

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	opener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(opener, (struct sockaddr *)&address, size), 0);
	accepted = accept(listener, NULL, NULL);
	assert_true(accepted >= 0);
	return close(listener);
}

static int end(void **state)
{
	(void)state;
	(void)close(accepted);
	return close(opener);
}

static bool opened_here(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);
	int queued = 0;

	memset(&info, 0, sizeof(info));
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	assert_int_equal(ioctl(fd, SIOCOUTQ, &queued), 0);
	return inbound_seed_opened_here(info.tcpi_state, (uint32_t)queued, &info);
}

static void assert_known(void)
{
	assert_true(opened_here(opener));
	assert_false(opened_here(accepted));
}

static void test_new(void **state)
{
	(void)state;
	assert_known();
}

static void test_after_data(void **state)
{
	char data[1000] = "";

	(void)state;
	assert_int_equal(send(opener, data, 700, 0), 700);
	assert_int_equal(send(accepted, data, 900, 0), 900);
	assert_int_equal(recv(opener, data, 900, MSG_WAITALL), 900);
	assert_int_equal(recv(accepted, data, 700, MSG_WAITALL), 700);
	assert_known();
}

/* Neither reads, so data waits at both ends, sent and not sent. */
static void test_with_full_queues(void **state)
{
	char data[1000] = "";

	(void)state;
	while (send(opener, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	while (send(accepted, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	assert_known();
	(void)shutdown(opener, SHUT_WR);
	(void)shutdown(accepted, SHUT_WR);
	assert_known();
}

static void test_half_closed(void **state)
{
	(void)state;
	(void)shutdown(opener, SHUT_WR);
	assert_known();
	assert_int_equal(send(accepted, "more", 4, 0), 4);
	assert_known();
}

static void test_half_closed_by_the_other(void **state)
{
	(void)state;
	(void)shutdown(accepted, SHUT_WR);
	assert_known();
	assert_int_equal(send(opener, "more", 4, 0), 4);
	assert_known();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_new, begin, end),
		cmocka_unit_test_setup_teardown(test_after_data, begin, end),
		cmocka_unit_test_setup_teardown(test_with_full_queues, begin, end),
		cmocka_unit_test_setup_teardown(test_half_closed, begin, end),
		cmocka_unit_test_setup_teardown(test_half_closed_by_the_other, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
