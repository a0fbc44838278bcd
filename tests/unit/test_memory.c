// SPDX-License-Identifier: Apache-2.0
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/memory.h"

/* Of /proc/self/status, KiB. */
static long status(const char *name)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	long value = -1;

	assert_non_null(file);
	while (value < 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, name, strlen(name)) == 0)
			value = strtol(line + strlen(name), NULL, 10);
	(void)fclose(file);
	assert_true(value >= 0);
	return value;
}

static int variable = 42;
static const int *volatile relocated = &variable;

static void test_code_of_the_start_goes_and_all_that_was_written_stays(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	long before, after;

	(void)state;
	assert_non_null(key);
	variable = 43;
	before = status("RssFile:");
	memory_trim();
	after = status("RssFile:");
	if (after > before / 2)
		fail_msg("RssFile was %ld KiB and is %ld KiB", before, after);
	assert_int_equal(*relocated, 43);
	EVP_PKEY_free(key);
	/* It all works as before. */
	key = EVP_EC_gen("P-256");
	assert_non_null(key);
	EVP_PKEY_free(key);
}

static void test_a_freed_heap_goes(void **state)
{
	static char *blocks[8192];
	long before;
	size_t i;

	(void)state;
	for (i = 0; i < 8192; i++) {
		blocks[i] = malloc(1024);
		assert_non_null(blocks[i]);
		memset(blocks[i], 1, 1024);
	}
	/* The last one keeps the heap's end where it is. */
	for (i = 0; i + 1 < 8192; i++)
		free(blocks[i]);
	before = status("RssAnon:");
	memory_trim();
#ifndef __SANITIZE_ADDRESS__ /* which has a heap of its own */
	assert_true(status("RssAnon:") < before - 4096);
#else
	assert_true(before > 0);
#endif
	free(blocks[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_code_of_the_start_goes_and_all_that_was_written_stays),
		cmocka_unit_test(test_a_freed_heap_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
