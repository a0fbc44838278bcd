// SPDX-License-Identifier: Apache-2.0
/* The verdict that the gateway has no IPv6. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "proxy/ipv6_verdict.h"

/* Tells whether the verdict has come, and takes it. */
static bool has_come(const struct ipv6_verdict *verdict)
{
	eventfd_t count;

	return eventfd_read(verdict->fd, &count) == 0;
}

static void refuse(struct ipv6_verdict *verdict, int times)
{
	while (times-- > 0)
		ipv6_verdict_refused(verdict);
}

static void test_refused(void **state)
{
	struct ipv6_verdict verdict = {.fd = -1};

	(void)state;
	assert_int_equal(ipv6_verdict_open(&verdict), 0);
	refuse(&verdict, IPV6_VERDICT_REFUSALS - 1);
	assert_false(has_come(&verdict));
	refuse(&verdict, 1);
	assert_true(has_come(&verdict));
	/* Connections that were under way. */
	refuse(&verdict, 5);
	assert_false(has_come(&verdict));
	ipv6_verdict_restart(&verdict, true);
	assert_false(has_come(&verdict));
	refuse(&verdict, 1);
	assert_true(has_come(&verdict));
	ipv6_verdict_restart(&verdict, false);
	refuse(&verdict, IPV6_VERDICT_REFUSALS - 1);
	assert_false(has_come(&verdict));
	ipv6_verdict_close(&verdict);
	ipv6_verdict_close(&verdict);
}

/* One connection that was opened is proof for good, until the gateway is another one. */
static void test_opened(void **state)
{
	struct ipv6_verdict verdict = {.fd = -1};

	(void)state;
	assert_int_equal(ipv6_verdict_open(&verdict), 0);
	refuse(&verdict, 1);
	ipv6_verdict_opened(&verdict);
	refuse(&verdict, 2 * IPV6_VERDICT_REFUSALS);
	assert_false(has_come(&verdict));
	ipv6_verdict_restart(&verdict, true);
	refuse(&verdict, 1);
	assert_false(has_come(&verdict));
	ipv6_verdict_restart(&verdict, false);
	refuse(&verdict, IPV6_VERDICT_REFUSALS);
	assert_true(has_come(&verdict));
	ipv6_verdict_close(&verdict);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
