// SPDX-License-Identifier: Apache-2.0
/* Tests which host names are valid, and their lower case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/util.h"
#include "proto/hostname.h"

static void names_are_told_from_other_text(void **state)
{
	static const struct {
		const char *text;
		bool valid, with_port;
	} table[] = {
		{"", false, false},
		{"a", true, true},
		{"www.Example-1.com", true, true},
		{"_sip._tcp.example.com.", true, true},
		{"192.0.2.1", true, true},
		{"example.com:80", false, true},
		{"[2001:db8::1]:443", false, true},
		{"a b", false, false},
		{"a\r\nX: y", false, false},
		{"a/b", false, false},
		{"b\xc3\xbc"
		 "cher.example",
		 false, false},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		size_t size = strlen(table[i].text);

		assert_int_equal(hostname_valid(table[i].text, size), table[i].valid);
		assert_int_equal(hostname_valid_with_port(table[i].text, size), table[i].with_port);
	}
	assert_false(hostname_valid("a\0b", 3));
	assert_false(hostname_valid_with_port("a\0b", 3));
}

static void a_port_is_no_part_of_a_name(void **state)
{
	(void)state;
	assert_int_equal(hostname_length_without_port("a.example"), 9);
	assert_int_equal(hostname_length_without_port("a.example:8080"), 9);
	assert_int_equal(hostname_length_without_port("192.0.2.1:80"), 9);
	assert_int_equal(hostname_length_without_port("[2001:db8::1]:80"), 13);
	assert_int_equal(hostname_length_without_port("[2001:db8::1]"), 13);
	assert_int_equal(hostname_length_without_port("2001:db8::1"), 11);
	assert_int_equal(hostname_length_without_port(":80"), 3);
	assert_int_equal(hostname_length_without_port(""), 0);
}

static void names_have_a_longest(void **state)
{
	char text[HOSTNAME_PORT_MAX + 1];

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_true(hostname_valid(text, HOSTNAME_MAX));
	assert_false(hostname_valid(text, HOSTNAME_MAX + 1));
	assert_true(hostname_valid_with_port(text, HOSTNAME_PORT_MAX));
	assert_false(hostname_valid_with_port(text, HOSTNAME_PORT_MAX + 1));
}

static void case_and_root_dot_do_not_count(void **state)
{
	(void)state;
	assert_int_equal(hostname_lower('A'), 'a');
	assert_int_equal(hostname_lower('Z'), 'z');
	assert_int_equal(hostname_lower('['), '[');
	assert_int_equal(hostname_lower('\xc4'), '\xc4');
	assert_int_equal(hostname_length("example.com."), strlen("example.com"));
	assert_int_equal(hostname_length("example.com"), strlen("example.com"));
	assert_int_equal(hostname_length("."), 0);
	assert_int_equal(hostname_length(""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_told_from_other_text),
		cmocka_unit_test(a_port_is_no_part_of_a_name),
		cmocka_unit_test(names_have_a_longest),
		cmocka_unit_test(case_and_root_dot_do_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
