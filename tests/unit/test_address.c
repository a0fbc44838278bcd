// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/address.h"

static void test_address_round_trip(void **state)
{
	static const char *const texts[] = {"0.0.0.0", "192.0.2.1", "255.255.255.255",
					    "::",      "::1",	    "2001:db8::1"};
	uint8_t address[16];
	char text[ADDRESS_TEXT_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(address_parse(texts[i], address), 0);
		assert_string_equal(address_format(address, text), texts[i]);
		assert_int_equal(address_is_ipv4(address), !strchr(texts[i], ':'));
	}
	assert_int_equal(address_parse("::ffff:192.0.2.1", address), 0);
	assert_true(address_is_ipv4(address));
	assert_int_equal(address_parse("", address), -EINVAL);
	assert_int_equal(address_parse("1.2.3", address), -EINVAL);
	assert_int_equal(address_parse("[::1]", address), -EINVAL);
	assert_int_equal(address_parse("localhost", address), -EINVAL);
}

static void expect_prefix(const char *text, const char *printed)
{
	struct prefix prefix;
	char buffer[ADDRESS_TEXT_MAX];

	assert_int_equal(prefix_parse(text, &prefix), 0);
	assert_string_equal(prefix_format(&prefix, buffer), printed);
}

static void test_prefix(void **state)
{
	static const char *const wrong[] = {"",	       "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1",
					    "::/129",  "192.0.2.0/ 8", "/8",	     "x/8",
					    "1.2.3/24"};
	struct prefix prefix;
	size_t i;

	(void)state;
	expect_prefix("192.0.2.0/24", "192.0.2.0/24");
	expect_prefix("192.0.2.1", "192.0.2.1/32");
	expect_prefix("0.0.0.0/0", "0.0.0.0/0");
	expect_prefix("2001:db8::/32", "2001:db8::/32");
	expect_prefix("::1", "::1/128");
	expect_prefix("::/0", "::/0");
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(prefix_parse(wrong[i], &prefix), -EINVAL);
	assert_int_equal(prefix_parse("192.0.2.1/24", &prefix), -ERANGE);
	assert_int_equal(prefix_parse("2001:db8::1/64", &prefix), -ERANGE);
	assert_int_equal(prefix_parse_lenient("192.0.2.1/24", &prefix), 0);
	assert_int_equal(prefix.length, 96 + 24);
}

static void test_prefix_contains(void **state)
{
	struct prefix prefix, same;
	uint8_t address[16];
	int length;

	(void)state;
	assert_int_equal(prefix_parse("192.0.2.128/25", &prefix), 0);
	assert_int_equal(address_parse("192.0.2.200", address), 0);
	assert_true(prefix_contains(&prefix, address));
	assert_int_equal(address_parse("192.0.2.127", address), 0);
	assert_false(prefix_contains(&prefix, address));
	assert_int_equal(address_parse("2001:db8::1", address), 0);
	assert_false(prefix_contains(&prefix, address));
	/* Every length of an address contains it. */
	for (length = 0; length <= 128; length++) {
		char text[ADDRESS_TEXT_MAX];

		(void)snprintf(text, sizeof(text), "2001:db8::1/%d", length);
		assert_int_equal(prefix_parse_lenient(text, &prefix), 0);
		assert_true(prefix_contains(&prefix, address));
		assert_int_equal(prefix_parse_lenient(text, &same), 0);
		assert_true(prefix_equal(&prefix, &same));
	}
}

static void test_endpoint(void **state)
{
	static const char *const texts[] = {"192.0.2.1:80", "0.0.0.0:0", "[2001:db8::1]:65535",
					    "[::]:1"};
	static const char *const wrong[] = {"",
					    "192.0.2.1",
					    "192.0.2.1:",
					    "192.0.2.1:65536",
					    "192.0.2.1:+1",
					    "2001:db8::1:80",
					    "[2001:db8::1]",
					    "[2001:db8::1:80",
					    "[]:80",
					    ":80",
					    "[192.0.2.1]:80",
					    "a.example:80"};
	struct endpoint endpoint;
	char text[ADDRESS_TEXT_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(endpoint_parse(texts[i], &endpoint), 0);
		assert_string_equal(endpoint_format((const struct sockaddr *)&endpoint.address,
						    text),
				    texts[i]);
		assert_int_equal(endpoint_size(&endpoint), texts[i][0] == '['
								   ? sizeof(struct sockaddr_in6)
								   : sizeof(struct sockaddr_in));
	}
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(endpoint_parse(wrong[i], &endpoint), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_round_trip),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_prefix_contains),
		cmocka_unit_test(test_endpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
