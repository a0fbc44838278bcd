// SPDX-License-Identifier: Apache-2.0
/* Tests which requests docker_gate lets through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "docker/docker_api.h"
#include "docker/docker_gate.h"
#include "docker/docker_sidecars_json.h"
#include "lib/util.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static bool passes(const char *method, const char *path, const char *query, const char *removable)
{
	struct docker_ask ask = {.method = ""};

	(void)snprintf(ask.method, sizeof(ask.method), "%s", method);
	(void)snprintf(ask.path, sizeof(ask.path), "%s", path);
	(void)snprintf(ask.query, sizeof(ask.query), "%s", query);
	return docker_gate_passes(&ask, removable);
}

static void test_reads(void **state)
{
	static const char *const refused[] = {
		"/containers/" ID "0/json",
		"/containers//json",
		"/containers/../json",
		"/containers/" ID "/logs",
		"/containers/" ID "/json/",
		"/containers/ABC/json",
		"/containers/a/b/json",
		"/containers/abc/json HTTP/1.1\r\nX: y",
		"/containers/json?all=1",
		"/containers/json\r\n\r\nPOST /build",
		"/v1.41/containers/json",
		"/networks",
		"/images/json",
		"/info",
		"/containers/" ID "/archive",
		"/containers/abc%2fjson",
		"http://docker/containers/json",
		"",
	};
	size_t i;

	(void)state;
	assert_true(passes("GET", "/containers/json", "", ""));
	assert_true(passes("GET", "/containers/" ID "/json", "", ""));
	assert_true(passes("GET", "/containers/a/json", "", ""));
	for (i = 0; i < ARRAY_SIZE(refused); i++)
		if (passes("GET", refused[i], "", ID))
			fail_msg("GET %s passes", refused[i]);
	assert_false(passes("GET", "/containers/json", "all=1", ""));
	assert_false(passes("GET", "/containers/" ID "/json", "size=1", ""));
}

static void test_methods(void **state)
{
	static const char *const methods[] = {"POST", "PUT", "HEAD", "get", "GET ", "GET\r\n", ""};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(methods); i++)
		if (passes(methods[i], "/containers/json", "", ""))
			fail_msg("%s passes", methods[i]);
	assert_false(passes("POST", "/containers/create", "", ""));
}

static void test_events(void **state)
{
	_cleanup_free_ char *filters = docker_url_encode(DOCKER_SIDECARS_EVENT_FILTERS);
	char query[512];

	(void)state;
	assert_non_null(filters);
	(void)snprintf(query, sizeof(query), "since=1764214516&filters=%s", filters);
	assert_true(passes("GET", "/events", query, ""));
	assert_false(passes("GET", "/events", "", ""));
	assert_false(passes("GET", "/events", "since=1", ""));
	assert_false(passes("GET", "/events", "since=1&filters=", ""));
	(void)snprintf(query, sizeof(query), "since=&filters=%s", filters);
	assert_false(passes("GET", "/events", query, ""));
	(void)snprintf(query, sizeof(query), "since=12345678901234567890&filters=%s", filters);
	assert_false(passes("GET", "/events", query, ""));
	(void)snprintf(query, sizeof(query), "since=1 HTTP/1.1\r\n&filters=%s", filters);
	assert_false(passes("GET", "/events", query, ""));
	(void)snprintf(query, sizeof(query), "since=1&filters=%s&until=2", filters);
	assert_false(passes("GET", "/events", query, ""));
}

static void test_removal(void **state)
{
	(void)state;
	assert_true(passes("DELETE", "/containers/" ID, "force=1", ID));
	assert_false(passes("DELETE", "/containers/" ID, "force=1", ""));
	assert_false(passes("DELETE", "/containers/", "force=1", ""));
	assert_false(passes("DELETE", "/containers/abc", "force=1", ID));
	assert_false(passes("DELETE", "/containers/" ID, "", ID));
	assert_false(passes("DELETE", "/containers/" ID, "force=1&v=1", ID));
	assert_false(passes("DELETE", "/containers/" ID "/json", "force=1", ID));
	assert_false(passes("GET", "/containers/" ID, "force=1", ID));
}

/* A text without its end is not read past the field. */
static void test_unended(void **state)
{
	struct docker_ask ask;

	(void)state;
	memset(&ask, 'a', sizeof(ask));
	assert_false(docker_gate_passes(&ask, ""));
	memcpy(ask.method, "GET", 4);
	assert_false(docker_gate_passes(&ask, ""));
	memcpy(ask.path, "/containers/json", 17);
	assert_false(docker_gate_passes(&ask, ""));
	ask.query[0] = '\0';
	assert_true(docker_gate_passes(&ask, ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads),	cmocka_unit_test(test_methods),
		cmocka_unit_test(test_events),	cmocka_unit_test(test_removal),
		cmocka_unit_test(test_unended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
