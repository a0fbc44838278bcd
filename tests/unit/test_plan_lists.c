// SPDX-License-Identifier: Apache-2.0
/* Checks that merged lists of a plan have each item once, and how long subnets are bypassed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "steering/plan_lists.h"

/* Makes a plan that bypasses the prefixes of these lengths. */
static struct plan plan_of(const uint8_t *lengths, size_t count)
{
	struct plan plan = {.lists = {{0}}};
	size_t i;

	assert_int_equal(plan_reserve(&plan, PLAN_BYPASS, count), 0);
	for (i = 0; i < count; i++) {
		struct plan_bypass *bypass = plan_append(&plan, PLAN_BYPASS);

		bypass->prefix.length = lengths[i];
	}
	plan_tidy(&plan, PLAN_BYPASS);
	return plan;
}

static void assert_plan(const struct plan *plan, const uint8_t *lengths, size_t count)
{
	const struct plan_list *list = &plan->lists[PLAN_BYPASS];
	const struct plan_bypass *items = list->items;
	size_t i;

	assert_int_equal(list->count, count);
	for (i = 0; i < count; i++)
		assert_int_equal(items[i].prefix.length, lengths[i]);
}

static void test_merge(void **state)
{
	static const uint8_t one[] = {8, 16, 24}, other[] = {32, 16, 4}, all[] = {4, 8, 16, 24, 32};
	struct plan plan = {.lists = {{0}}}, from_one = plan_of(one, 3),
		    from_other = plan_of(other, 3);
	struct plan nothing = {.lists = {{0}}};

	(void)state;
	assert_int_equal(plan_merge(&plan, &from_one, PLAN_BYPASS), 0);
	assert_plan(&plan, one, 3);
	assert_int_equal(plan_merge(&plan, &from_other, PLAN_BYPASS), 0);
	assert_plan(&plan, all, 5);
	/* It has these already. */
	assert_int_equal(plan_merge(&plan, &from_one, PLAN_BYPASS), 0);
	assert_int_equal(plan_merge(&plan, &nothing, PLAN_BYPASS), 0);
	assert_plan(&plan, all, 5);
	/* Other layers stay as they are. */
	assert_int_equal(plan.lists[PLAN_EGRESS].count, 0);
	plan_release(&plan);
	plan_release(&from_one);
	plan_release(&from_other);
}

static void set_since(const struct plan *plan, size_t index, uint64_t since)
{
	((struct plan_bypass *)plan->lists[PLAN_BYPASS].items)[index].since = since;
}

static uint64_t since_of(const struct plan *plan, size_t index)
{
	return ((const struct plan_bypass *)plan->lists[PLAN_BYPASS].items)[index].since;
}

/* Entries that stay in force keep their time, and new ones have the present one. */
static void test_since(void **state)
{
	static const uint8_t before[] = {8, 16}, doubtful[] = {12}, now[] = {8, 12, 24};
	struct plan applied = plan_of(before, 2), doubt = plan_of(doubtful, 1),
		    wanted = plan_of(now, 3);
	const struct plan nothing = {.lists = {{0}}};

	(void)state;
	set_since(&applied, 0, 5);
	set_since(&applied, 1, 6);
	set_since(&doubt, 0, 7);
	plan_keep_since(&wanted, &applied, 0);
	plan_keep_since(&wanted, &doubt, 0);
	plan_keep_since(&wanted, &nothing, 0);
	plan_keep_since(&wanted, NULL, 100);
	assert_int_equal(since_of(&wanted, 0), 5);
	assert_int_equal(since_of(&wanted, 1), 7);
	assert_int_equal(since_of(&wanted, 2), 100);
	plan_release(&applied);
	plan_release(&doubt);
	plan_release(&wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_since),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
