// SPDX-License-Identifier: Apache-2.0
/* Tests the token bucket of agent_budget, with scripted time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/agent_budget.h"

static const struct agent_allowance allowance = {.burst = 3, .per_minute = 60};

/* Spends as many as are left at @now_ms, up to 100, and returns their number. */
static int spend_all(struct agent_budget *budget, uint64_t now_ms)
{
	int count = 0;

	while (count < 100 && agent_budget_left(budget, &allowance, now_ms)) {
		agent_budget_spend(budget);
		count++;
	}
	return count;
}

static void test_burst_and_refill(void **state)
{
	struct agent_budget budget = {0};

	(void)state;
	assert_int_equal(spend_all(&budget, 1000000), 3);
	assert_int_equal(spend_all(&budget, 1000000), 0);
	assert_int_equal(spend_all(&budget, 1000999), 0);
	/* Parts of a token add up. */
	assert_int_equal(spend_all(&budget, 1001000), 1);
	assert_int_equal(spend_all(&budget, 1003500), 2);
	assert_int_equal(spend_all(&budget, 1004000), 1);
	/* It never holds more than the burst. */
	assert_int_equal(spend_all(&budget, UINT32_MAX), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst_and_refill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
