// SPDX-License-Identifier: Apache-2.0
/* Tests which names of containers are kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "docker/docker_names.h"

static int add(struct docker_names *names, const char *id, const char *name)
{
	const struct docker_facts facts = {.id = id, .name = name};

	return docker_names_add(names, &facts);
}

static void test_news(void **state)
{
	struct docker_names names = {0};

	(void)state;
	assert_int_equal(add(&names, "a", "first"), 1);
	assert_int_equal(add(&names, "a", "first"), 0);
	assert_int_equal(add(&names, "a", "renamed"), 1);
	assert_string_equal(names.items[0].name, "renamed");
	assert_int_equal(names.count, 1);
	docker_names_release(&names);
}

static void test_a_list_replaces_the_one_before(void **state)
{
	struct docker_names names = {0};

	(void)state;
	(void)add(&names, "a", "first");
	(void)add(&names, "b", "second");
	docker_names_begin(&names);
	(void)add(&names, "b", "second");
	(void)add(&names, "c", "third");
	assert_true(docker_names_end(&names));
	assert_int_equal(names.count, 2);
	assert_string_equal(names.items[0].name, "second");
	assert_string_equal(names.items[1].name, "third");
	docker_names_begin(&names);
	(void)add(&names, "b", "second");
	(void)add(&names, "c", "third");
	assert_false(docker_names_end(&names));
	docker_names_release(&names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_news),
		cmocka_unit_test(test_a_list_replaces_the_one_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
