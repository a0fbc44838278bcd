// SPDX-License-Identifier: Apache-2.0
/* Tests the list of the commands and the version. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "commands/command_list.h"
#include "lib/options.h"
#include "lib/util.h"
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
	/* Those that the Makefile links. */
	static const char *const libraries[] = {
		"libzstd ",  "zlib ",	    "tinfo ",	   "ncursesw ", "jansson ", "libcap ",
		"libssl ",   "libcrypto ",  "libseccomp ", "libelf ",	"libbpf ",  "libmnl ",
		"libnftnl ", "libarchive ", "llhttp ",	   "glibc ",
	};
	static char text[4096];
	FILE *stream = fmemopen(text, sizeof(text), "w");
	size_t i;

	(void)state;
	assert_non_null(stream);
	version_print(stream);
	assert_int_equal(fclose(stream), 0);
	assert_ptr_equal(strstr(text, "sidestep " SIDESTEP_VERSION), text);
	assert_non_null(strstr(text, "\nLibraries: lib"));
	for (i = 0; i < ARRAY_SIZE(libraries); i++) {
		const char *library = strstr(text, libraries[i]);

		assert_non_null(library);
		assert_true(isdigit((unsigned char)library[strlen(libraries[i])]));
	}
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
