// SPDX-License-Identifier: Apache-2.0
/* OTLP: the URL, the header fields, the pauses between requests, and the addresses of a name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/util.h"
#include "metrics/otlp_options.h"
#include "metrics/otlp_retry.h"
#include "names/name_first.h"

static void test_urls(void **state)
{
	static const struct {
		const char *text, *name, *host, *path;
		bool tls;
	} right[] = {
		{"http://192.0.2.1:80/a/", "", "192.0.2.1:80", "/a", false},
		{"http://[2001:db8::1]", "", "[2001:db8::1]:4318", "", false},
		{"HTTPS://192.0.2.1/", "", "192.0.2.1:443", "", true},
		{"http://a.test", "a.test", "a.test:4318", "", false},
		{"https://otlp.a.test/x/y", "otlp.a.test", "otlp.a.test:443", "/x/y", true},
		{"https://a.test:8443", "a.test", "a.test:8443", "", true},
		{"http://collector:4318", "collector", "collector:4318", "", false},
	};
	static const char *const wrong[] = {
		"ftp://192.0.2.1",
		"192.0.2.1:4318",
		"http://u:p@192.0.2.1:4318",
		"http://u:p@a.test",
		"http://192.0.2.1:4318/a b",
		"http://",
		"https://:443",
		"http://192.0.2.1/a?b",
		"http://a.test:0",
		"http://a.test:65536",
		"http://a.test:",
		"http://a.test:80:80",
		"http://a..test",
		"http://192.0.2.1.5",
		"http://a.test\r\nX: y",
	};
	struct otlp_url url;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(right); i++) {
		assert_int_equal(otlp_url_parse(right[i].text, &url), 0);
		assert_string_equal(url.name, right[i].name);
		assert_string_equal(url.host, right[i].host);
		assert_string_equal(url.path, right[i].path);
		assert_int_equal(url.tls, right[i].tls);
	}
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(otlp_url_parse(wrong[i], &url), -EINVAL);
}

static void test_headers(void **state)
{
	static const char *const wrong[] = {
		"Authorization", ": x", "A B: x", "A: x\r\nB: y", "Host: x", "content-Length: 3",
	};
	static const char *const wrong_lists[] = {"a",	 "a=b,c",	"=x",
						  "a=%", "a=%0d%0aB:x", "a=%00"};
	struct otlp_headers headers = {.size = 0};
	char large[OTLP_HEADERS_MAX + 1];
	size_t i;

	(void)state;
	assert_int_equal(otlp_headers_add(&headers, "Authorization:  Bearer a:b "), 0);
	assert_int_equal(otlp_headers_add_list(&headers, "x-a=1, x-b = a%2Cb%20c ,"), 0);
	assert_string_equal(headers.lines, "Authorization: Bearer a:b\r\nx-a: 1\r\nx-b: a,b c\r\n");
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(otlp_headers_add(&headers, wrong[i]), -EINVAL);
	for (i = 0; i < ARRAY_SIZE(wrong_lists); i++) {
		struct otlp_headers list = {.size = 0};

		assert_int_equal(otlp_headers_add_list(&list, wrong_lists[i]), -EINVAL);
	}
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	memcpy(large, "A: ", 3);
	assert_int_equal(otlp_headers_add(&headers, large), -EINVAL);
	assert_int_equal(headers.size, strlen(headers.lines));
}

static void test_pauses(void **state)
{
	static const int again[] = {-ECONNREFUSED, -ETIMEDOUT, 429, 502, 503, 504};
	static const int never[] = {200, 301, 400, 401, 404, 413, 500, 501};
	unsigned int failures;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(again); i++)
		assert_true(otlp_retry_wanted(again[i]));
	for (i = 0; i < ARRAY_SIZE(never); i++)
		assert_false(otlp_retry_wanted(never[i]));
	assert_int_equal(otlp_retry_pause(1, 0, 0), 500);
	assert_int_equal(otlp_retry_pause(1, 0, 500), 1000);
	assert_int_equal(otlp_retry_pause(3, 0, 0), 2000);
	for (failures = 1; failures < 100; failures++)
		assert_in_range(otlp_retry_pause(failures, 0, UINT32_MAX), 500, OTLP_RETRY_MAX_MS);
	/* The collector's wish counts if it is longer, up to a limit. */
	assert_int_equal(otlp_retry_pause(1, 7000, 0), 7000);
	assert_int_equal(otlp_retry_pause(9, 1, 0), OTLP_RETRY_MAX_MS / 2);
	assert_int_equal(otlp_retry_pause(1, UINT64_MAX, 0), OTLP_RETRY_ASKED_MS);
}

static void test_retry_after(void **state)
{
	static const char *const wrong[] = {"",	   "-1", "soon",
					    "1.5", "1 ", "Sun, 06 Nov 1994 08:49:37 CET"};
	const time_t now = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT */
	size_t i;

	(void)state;
	assert_int_equal(otlp_retry_after("120", now), 120000);
	assert_int_equal(otlp_retry_after("99999999999999999999", now), OTLP_RETRY_ASKED_MS);
	assert_int_equal(otlp_retry_after("Sun, 06 Nov 1994 08:49:47 GMT", now), 10000);
	assert_int_equal(otlp_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), 0);
	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(otlp_retry_after(wrong[i], now), 0);
}

/* An option counts before its variable, and an empty variable is none. */
static void test_variables(void **state)
{
	struct otlp_options options = {.interval_s = 5};
	struct otlp_config config;

	(void)state;
	assert_int_equal(setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "", 1), 0);
	assert_false(otlp_options_given(&options));
	assert_int_equal(setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a.test:4318", 1), 0);
	assert_int_equal(setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-a=1", 1), 0);
	assert_int_equal(setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/a", 1), 0);
	assert_true(otlp_options_given(&options));
	assert_int_equal(otlp_options_read(&options, &config), 0);
	assert_string_equal(config.url.host, "a.test:4318");
	assert_string_equal(config.headers.lines, "x-a: 1\r\n");
	assert_string_equal(config.ca, "/a");
	assert_int_equal(config.interval_ms, 5000);
	options.url = "https://b.test";
	options.ca = "/b";
	assert_int_equal(otlp_options_read(&options, &config), 0);
	assert_string_equal(config.url.host, "b.test:443");
	assert_string_equal(config.ca, "/b");
	assert_int_equal(setenv("OTEL_EXPORTER_OTLP_HEADERS", "x", 1), 0);
	assert_int_equal(otlp_options_read(&options, &config), -EINVAL);
}

/* The first lookup with an answer decides, whatever the ports. */
static void test_first_addresses(void **state)
{
	static const uint8_t one[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
	static const uint8_t other[16] = {0x20, 1, 0xd, 0xb8, [15] = 2};
	struct socket_address first_one, first_other, again;
	struct name_first first = {.count = 0};

	(void)state;
	socket_address_inet(one, 80, &first_one);
	socket_address_inet(other, 80, &first_other);
	socket_address_inet(one, 81, &again);
	assert_false(name_first_has(&first, &first_one));
	name_first_learn(&first, &first_one, 1);
	name_first_learn(&first, &first_other, 1);
	assert_true(name_first_has(&first, &again));
	assert_false(name_first_has(&first, &first_other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),	  cmocka_unit_test(test_headers),
		cmocka_unit_test(test_pauses),	  cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_variables), cmocka_unit_test(test_first_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
