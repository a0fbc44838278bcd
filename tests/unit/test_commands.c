// SPDX-License-Identifier: Apache-2.0
/* Tests the list of the commands and the version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "commands/command_list.h"
#include "lib/options.h"
#include "lib/version.h"

/* Each command for people has a sound table, which has the command's name. */
static void test_command_tables(void **state)
{
	const struct command *entry;
	char name[64];

	(void)state;
	for (entry = command_list; entry->name; entry++) {
		assert_int_equal(!entry->summary, !entry->options);
		if (!entry->options)
			continue;
		assert_int_equal(options_check(entry->options), 0);
		(void)snprintf(name, sizeof(name), "sidestep %s", entry->name);
		assert_string_equal(entry->options->name, name);
		assert_ptr_equal(command_find(entry->name), entry);
	}
}

static void test_misspelled(void **state)
{
	(void)state;
	assert_null(command_find("statsu"));
	assert_null(command_find("--ready"));
	assert_null(command_find(""));
}

static void test_version(void **state)
{
	static char text[4096];
	FILE *stream = fmemopen(text, sizeof(text), "w");

	(void)state;
	assert_non_null(stream);
	version_print(stream);
	assert_int_equal(fclose(stream), 0);
	assert_ptr_equal(strstr(text, "sidestep " SIDESTEP_VERSION), text);
	assert_non_null(strstr(text, "\nLibraries: lib"));
	assert_non_null(strstr(text, "\nFeatures: bpf "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_tables),
		cmocka_unit_test(test_misspelled),
		cmocka_unit_test(test_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
