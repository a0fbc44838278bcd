// SPDX-License-Identifier: Apache-2.0
/* Tests that a report loses its secrets and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "doctor/report_scrub.h"
#include "lib/util.h"

static const struct {
	const char *text, *clean;
} rows[] = {
	{"Authorization: Bearer abc.def\r\nHost: x\r\n", "Authorization: [removed]\r\nHost: x\r\n"},
	{"proxy-authorization: Basic dTpw\n", "proxy-authorization: [removed]\n"},
	{"Cookie: a=b; c=d\nSet-Cookie: e=f; Path=/\n",
	 "Cookie: [removed]\nSet-Cookie: [removed]\n"},
	{"sent Bearer abc, then", "sent Bearer [removed], then"},
	{"GET http://user:pass@host:80/path HTTP/1.1", "GET http://[removed]host:80/path HTTP/1.1"},
	{"GET /path?q=1&token=2 HTTP/1.1", "GET /path?[removed] HTTP/1.1"},
	{"https://host/?key=value#x and more", "https://host/?[removed] and more"},
	{"DB_PASSWORD=hunter2 PATH=/bin", "DB_PASSWORD=[removed] PATH=/bin"},
	{"{\"api_key\": \"abc\", \"port\": 80}", "{\"api_key\": \"[removed]\", \"port\": 80}"},
	{"password = \"one two\" x", "password = \"[removed]\" x"},
	{"{\"token\":\"a\\\"b\", \"port\":80}", "{\"token\":\"[removed]\", \"port\":80}"},
	{"{\"text\":\"{\\\"password\\\": \\\"abc\\\"}\"}",
	 "{\"text\":\"{\\\"password\\\": \\\"[removed]\"}"},
	{"\\\"authorization\\\": \\\"Digest abc\\\"", "\\\"authorization\\\": [removed]"},
	{"http://user:p@ss@host/", "http://[removed]host/"},
	{"secret: one\ntoken=two\n", "secret: [removed]\ntoken=[removed]\n"},
	{"a\n-----BEGIN EC PRIVATE KEY-----\nMHcC\nAQEE==\n-----END EC PRIVATE KEY-----\nb",
	 "a\n-----BEGIN EC PRIVATE KEY-----[removed]-----END EC PRIVATE KEY-----\nb"},
	/* These have none. */
	{"", ""},
	{"cannot connect to 172.17.0.1:8080: is the gateway listening there?",
	 "cannot connect to 172.17.0.1:8080: is the gateway listening there?"},
	{"[2001:db8::1]:443, no such host? yes", "[2001:db8::1]:443, no such host? yes"},
	{"-----BEGIN CERTIFICATE-----\nMHcC\n", "-----BEGIN CERTIFICATE-----\nMHcC\n"},
};

static void test_rows(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *clean = report_scrub(rows[i].text, strlen(rows[i].text));

		assert_string_equal(clean, rows[i].clean);
	}
}

/* AddressSanitizer reads a whole text at each regexec(3). */
#ifdef __SANITIZE_ADDRESS__
#define LONG_TEXT (1 << 15)
#else
#define LONG_TEXT (1 << 20)
#endif

/* Applications write logs: no text takes much longer than another one of its length. */
static void test_long_texts(void **state)
{
	static const char *const parts[] = {"a",    "secret", "token-",	      "x?y ",	 "token=x ",
					    "://a", "basic ", "-----BEGIN A", "cookie ", "?"};
	enum {
		LIMIT_S = 60
	};
	static char text[LONG_TEXT];
	size_t i, at;

	(void)state;
	(void)alarm(LIMIT_S);
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		for (at = 0; at < LONG_TEXT; at++)
			text[at] = parts[i][at % strlen(parts[i])];
		free(report_scrub(text, LONG_TEXT));
	}
	(void)alarm(0);
}

/* A NUL would hide what is behind it from the patterns, and not from a reader. */
static void test_nuls(void **state)
{
	static const char text[] = "a\0token=\0b";
	_cleanup_free_ char *clean = report_scrub(text, sizeof(text) - 1);

	(void)state;
	assert_string_equal(clean, "atoken=[removed]");
}

static void test_json(void **state)
{
	json_t *value = json_loads("{\"a\":[\"Cookie: x\\\"y\",1,null],\"b\":{\"c\":\"/p?q=1\"}}",
				   0, NULL);
	json_t *wanted = json_loads("{\"a\":[\"Cookie: [removed]\",1,null],"
				    "\"b\":{\"c\":\"/p?[removed]\"}}",
				    0, NULL);

	(void)state;
	report_scrub_json(value);
	report_scrub_json(NULL);
	assert_int_equal(json_equal(value, wanted), 1);
	json_decref(value);
	json_decref(wanted);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_long_texts),
		cmocka_unit_test(test_nuls),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
