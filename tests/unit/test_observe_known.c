// SPDX-License-Identifier: Apache-2.0
/* Events that `sidestep observe` has read before it follows are not shown again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "commands/observe_known.h"

/* An event is known until the last one that was read. Its id may come again later. */
static void test_until_the_last_one(void **state)
{
	struct observe_known known = {.ids = NULL};

	(void)state;
	assert_false(observe_known_has(&known, "1-1"));
	assert_int_equal(observe_known_add(&known, "1-1"), 0);
	assert_int_equal(observe_known_add(&known, "1-2"), 0);
	assert_true(observe_known_has(&known, "1-1"));
	assert_true(observe_known_has(&known, "1-2"));
	assert_false(observe_known_has(&known, "1-3"));
	assert_false(observe_known_has(&known, "1-1"));
	observe_known_free(&known);
}

/* The oldest ones may be gone, and even the last one. */
static void test_gone(void **state)
{
	struct observe_known known = {.ids = NULL};

	(void)state;
	assert_int_equal(observe_known_add(&known, "1-1"), 0);
	assert_int_equal(observe_known_add(&known, "1-2"), 0);
	assert_false(observe_known_has(&known, "1-3"));
	assert_true(observe_known_has(&known, "1-1"));
	observe_known_free(&known);
	observe_known_free(&known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_until_the_last_one),
		cmocka_unit_test(test_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
