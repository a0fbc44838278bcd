// SPDX-License-Identifier: Apache-2.0
/* The events that `sidestep observe` selects, and the values that it refuses. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "commands/observe_filter.h"
#include "lib/util.h"

static const char *const connection =
	"{\"type\":\"connection\",\"container\":{\"id\":\"0123abcd\",\"name\":\"web-1\"},"
	"\"process\":{\"pid\":7,\"comm\":\"curl\",\"exe\":\"/usr/bin/curl\"},"
	"\"dst\":\"192.0.2.7:443\",\"name\":\"API.Example\",\"verdict\":\"steer_tcp\","
	"\"reason\":\"relayed\"}";

static bool selects(const char *text, struct observe_options options)
{
	struct observe_filter filter;
	json_t *event = json_loads(text, 0, NULL);
	bool result;

	assert_non_null(event);
	assert_int_equal(observe_filter_init(&filter, &options), 0);
	result = observe_filter_selects(&filter, event);
	json_decref(event);
	return result;
}

#define SELECTS(...) selects(connection, (struct observe_options) {__VA_ARGS__})

static void test_selects(void **state)
{
	(void)state;
	assert_true(SELECTS(.to = "api.example"));
	assert_true(SELECTS(.to = "*.EXAMPLE", .port = 443));
	assert_true(SELECTS(.to = "192.0.2.0/24", .verdict = "steer_tcp", .reason = "relayed"));
	assert_true(SELECTS(.to = "192.0.2.7", .container = "web-*", .process = "curl"));
	assert_true(SELECTS(.container = "0123", .process = "/usr/bin/*"));
	assert_false(SELECTS(.to = "example"));
	assert_false(SELECTS(.to = "192.0.3.0/24"));
	assert_false(SELECTS(.port = 80));
	assert_false(SELECTS(.container = "web"));
	assert_false(SELECTS(.process = "bash"));
	assert_false(SELECTS(.verdict = "deny_udp"));
	assert_false(SELECTS(.reason = "exempt"));
}

/* An address of IPv6, one without a port, none at all, and a gap. */
static void test_odd_events(void **state)
{
	(void)state;
	assert_true(selects("{\"dst\":\"[2001:db8::7]:80\"}",
			    (struct observe_options) {.to = "2001:db8::/32", .port = 80}));
	assert_true(
		selects("{\"dst\":\"192.0.2.7\"}", (struct observe_options) {.to = "192.0.2.7"}));
	assert_false(selects("{\"dst\":\"192.0.2.7\"}", (struct observe_options) {.port = 80}));
	assert_false(selects("{\"dst\":null}", (struct observe_options) {.to = "0.0.0.0/0"}));
	assert_true(selects("{\"type\":\"lost\"}",
			    (struct observe_options) {.to = "a.example", .port = 80}));
}

static void test_refused_values(void **state)
{
	static const char *const slips[] = {"192.0.2.0/33",	 "192.0.2.300",
					    "192.0.2.7:80",	 "[2001:db8::7]:80",
					    "[2001:db8::7]",	 "a.example:80",
					    "http://a.example/", ""};
	struct observe_options options = {.verdict = "STEER_TCP"};
	struct observe_filter filter;
	size_t i;

	(void)state;
	assert_int_equal(observe_filter_init(&filter, &options), -EINVAL);
	options = (struct observe_options) {.reason = "relayd"};
	assert_int_equal(observe_filter_init(&filter, &options), -EINVAL);
	for (i = 0; i < ARRAY_SIZE(slips); i++) {
		options = (struct observe_options) {.to = slips[i]};
		assert_int_equal(observe_filter_init(&filter, &options), -EINVAL);
	}
}

static void test_since(void **state)
{
	static const char *const slips[] = {"",	    "5",   "m",	       "0s",
					    "-5m",  "5mm", "5 m",      "+5m",
					    "5.5m", "5M",  "1000001d", "99999999999999999999s"};
	uint64_t ms;
	size_t i;

	(void)state;
	assert_int_equal(observe_parse_since("90s", &ms), 0);
	assert_int_equal(ms, 90000);
	assert_int_equal(observe_parse_since("2h", &ms), 0);
	assert_int_equal(ms, 7200000);
	assert_int_equal(observe_parse_since("1d", &ms), 0);
	assert_int_equal(ms, 86400000);
	for (i = 0; i < ARRAY_SIZE(slips); i++)
		assert_int_equal(observe_parse_since(slips[i], &ms), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_selects),
		cmocka_unit_test(test_odd_events),
		cmocka_unit_test(test_refused_values),
		cmocka_unit_test(test_since),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
