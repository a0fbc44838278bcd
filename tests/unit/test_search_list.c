// SPDX-License-Identifier: Apache-2.0
/* Tests how the search list of resolv.conf(5) is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/search_list.h"
#include "lib/util.h"

/* Reads @text as a file and returns the domains, each with a blank behind it. */
static const char *read_text(const char *text)
{
	static char domains[4096];
	char path[] = "/tmp/search-XXXXXX";
	struct search_list list;
	int fd = mkstemp(path);
	size_t i;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
	assert_int_equal(search_list_read(path, &list), 0);
	assert_int_equal(unlink(path), 0);
	domains[0] = '\0';
	for (i = 0; i < list.count; i++) {
		strcat(domains, list.domains[i]);
		strcat(domains, " ");
	}
	search_list_clear(&list);
	search_list_clear(&list);
	return domains;
}

static void test_lines(void **state)
{
	(void)state;
	assert_string_equal(read_text(""), "");
	assert_string_equal(read_text("nameserver 127.0.0.11\noptions ndots:0"), "");
	assert_string_equal(read_text("search a.test b\n"), "a.test b ");
	assert_string_equal(read_text("#search x\n;search y\n\tsearch\ta.  \r\n"), "a. ");
	/* The last line counts. */
	assert_string_equal(read_text("domain a\nsearch b c\nnameserver 1.1.1.1\n"), "b c ");
	assert_string_equal(read_text("search b c\ndomain a"), "a ");
	/* Docker writes a dot for no domain. */
	assert_string_equal(read_text("search b\nsearch .\n"), "");
	assert_string_equal(read_text("searching b\n"), "");
}

static void test_limits(void **state)
{
	char text[8 + 2 * (SEARCH_LIST_MAX + 1) + SEARCH_LIST_DOMAIN_MAX + 3] = "search ";
	int i;

	(void)state;
	memset(text + 7, 'x', SEARCH_LIST_DOMAIN_MAX + 1);
	assert_string_equal(read_text(text), "");
	for (i = 0; i <= SEARCH_LIST_MAX; i++)
		strcat(text, " a");
	assert_int_equal(strlen(read_text(text)), 2 * SEARCH_LIST_MAX);
}

static void test_no_file(void **state)
{
	struct search_list list;

	(void)state;
	assert_int_equal(search_list_read("/nonexistent/resolv.conf", &list), 0);
	assert_int_equal(list.count, 0);
	search_list_clear(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
