// SPDX-License-Identifier: Apache-2.0
/* Tests the parsers of docker_json. The documents have the shape of an engine's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "docker/docker_api.h"
#include "docker/docker_json.h"
#include "lib/util.h"

static const char networks_document[] =
	"[{\"Name\":\"shop\",\"Id\":\"f00dfeedcafe8c1f6b1d\",\"Created\":\"2026-01-01T00:00:00Z\","
	"\"Scope\":\"local\",\"Driver\":\"bridge\",\"EnableIPv6\":true,\"IPAM\":{\"Driver\":"
	"\"default\",\"Options\":{},\"Config\":[{\"Subnet\":\"172.18.0.0/16\",\"Gateway\":"
	"\"172.18.0.1\"},{\"Subnet\":\"fd00:1::/64\",\"Gateway\":\"fd00:1::1/64\"}]},\"Internal\":"
	"false,\"Attachable\":false,\"Ingress\":false,\"ConfigFrom\":{\"Network\":\"\"},"
	"\"ConfigOnly\":false,\"Containers\":{},\"Options\":{},\"Labels\":{\"a\":\"b\"}},"
	"{\"Name\":\"bridge\",\"Id\":\"0123456789abcdef0123\",\"Scope\":\"local\",\"Driver\":"
	"\"bridge\",\"IPAM\":{\"Config\":[{\"Subnet\":\"172.17.0.1/16\"}]},\"Options\":"
	"{\"com.docker.network.bridge.default_bridge\":\"true\","
	"\"com.docker.network.bridge.enable_icc\":\"true\","
	"\"com.docker.network.bridge.name\":\"docker7\",\"com.docker.network.driver.mtu\":"
	"\"1500\"}},"
	"{\"Name\":\"host\",\"Id\":\"aa\",\"Scope\":\"local\",\"Driver\":\"host\",\"IPAM\":"
	"{\"Driver\":\"default\",\"Options\":null,\"Config\":[]}},"
	"{\"Name\":\"mesh\",\"Id\":\"bb\",\"Scope\":\"swarm\",\"Driver\":\"overlay\"},"
	"{\"Name\":\"empty\",\"Id\":\"eeeeeeeeeeeeeeeee\",\"Scope\":\"local\",\"Driver\":"
	"\"bridge\",\"IPAM\":{\"Config\":null},\"Options\":null}]";

static const char containers_document[] =
	"[{\"Id\":\"c1c1c1c1c1c1c1c1\",\"Names\":[\"/web\"],\"State\":\"running\",\"HostConfig\":"
	"{\"NetworkMode\":\"shop\"},\"NetworkSettings\":{\"Networks\":{\"shop\":{\"NetworkID\":"
	"\"f00dfeedcafe8c1f6b1d\",\"IPAddress\":\"172.18.0.2\",\"GlobalIPv6Address\":"
	"\"fd00:1::2\"},\"bridge\":{\"NetworkID\":\"0123456789abcdef0123\",\"IPAddress\":"
	"\"172.17.0.2\",\"GlobalIPv6Address\":\"\"}}}},"
	"{\"Id\":\"c2c2c2c2c2c2c2c2\",\"Names\":null,\"NetworkSettings\":{\"Networks\":{\"shop\":"
	"{\"NetworkID\":\"f00dfeedcafe8c1f6b1d\",\"IPAddress\":\"\"}}}},"
	"{\"Id\":\"c3\",\"Names\":[\"/other\"],\"NetworkSettings\":{\"Networks\":{\"host\":"
	"{\"NetworkID\":\"aa\"},\"x\":{\"NetworkID\":\"\"}}}},"
	"{\"Id\":\"c4\",\"Names\":[\"/joined\"],\"NetworkSettings\":{\"Networks\":{}}}]";

static void assert_prefix(const struct prefix *prefix, const char *expected)
{
	char text[ADDRESS_TEXT_MAX];

	assert_string_equal(prefix_format(prefix, text), expected);
}

static void assert_address(const uint8_t address[16], const char *expected)
{
	char text[ADDRESS_TEXT_MAX];

	assert_string_equal(address_format(address, text), expected);
}

static void test_state(void **state)
{
	struct docker_network *networks;
	const struct docker_network *bridge, *host, *empty, *shop;
	char reason[DOCKER_REASON_MAX] = "";
	size_t count;

	(void)state;
	assert_int_equal(docker_parse_state(networks_document, strlen(networks_document),
					    containers_document, strlen(containers_document),
					    &networks, &count, reason),
			 0);
	assert_int_equal(count, 4);
	bridge = &networks[0];
	host = &networks[1];
	empty = &networks[2];
	shop = &networks[3];
	assert_string_equal(host->driver, "host");
	assert_string_equal(host->interface, "");
	assert_int_equal(host->subnet_count, 0);
	assert_string_equal(bridge->name, "bridge");
	assert_string_equal(bridge->interface, "docker7");
	assert_int_equal(bridge->subnet_count, 1);
	assert_prefix(&bridge->subnets[0].prefix, "172.17.0.0/16");
	assert_false(bridge->subnets[0].has_gateway);
	assert_int_equal(bridge->container_count, 1);
	assert_string_equal(empty->interface, "br-eeeeeeeeeeee");
	assert_int_equal(empty->subnet_count, 0);
	assert_string_equal(shop->id, "f00dfeedcafe8c1f6b1d");
	assert_string_equal(shop->driver, "bridge");
	assert_string_equal(shop->interface, "br-f00dfeedcafe");
	assert_int_equal(shop->subnet_count, 2);
	assert_prefix(&shop->subnets[1].prefix, "fd00:1::/64");
	assert_true(shop->subnets[1].has_gateway);
	assert_address(shop->subnets[0].gateway, "172.18.0.1");
	assert_address(shop->subnets[1].gateway, "fd00:1::1");
	assert_int_equal(shop->container_count, 2);
	assert_string_equal(shop->containers[0].name, "web");
	assert_true(shop->containers[0].has_ipv4 && shop->containers[0].has_ipv6);
	assert_address(shop->containers[0].ipv4, "172.18.0.2");
	assert_address(shop->containers[0].ipv6, "fd00:1::2");
	assert_string_equal(shop->containers[1].name, "c2c2c2c2c2c2");
	assert_false(shop->containers[1].has_ipv4 || shop->containers[1].has_ipv6);
	docker_state_free(networks, count);
}

static void test_default_bridge(void **state)
{
	static const char *const documents[] = {
		"[{\"Name\":\"bridge\",\"Id\":\"ab\",\"Scope\":\"local\",\"Driver\":\"bridge\"}]",
		"[{\"Name\":\"x\",\"Id\":\"ab\",\"Scope\":\"local\",\"Driver\":\"bridge\","
		"\"Options\":{\"com.docker.network.bridge.default_bridge\":\"true\"}}]",
	};
	struct docker_network *networks;
	char reason[DOCKER_REASON_MAX] = "";
	size_t count, i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(documents); i++) {
		assert_int_equal(docker_parse_state(documents[i], strlen(documents[i]), "[]", 2,
						    &networks, &count, reason),
				 0);
		assert_string_equal(networks[0].interface, "docker0");
		docker_state_free(networks, count);
	}
}

#define NETWORK(rest)                                                                              \
	"[{\"Name\":\"n\",\"Id\":\"ab\",\"Scope\":\"local\",\"Driver\":\"bridge\"" rest "}]"
#define CONTAINER(rest)                                                                            \
	"[{\"Id\":\"c\",\"Names\":[\"/c\"],\"NetworkSettings\":{\"Networks\":{\"n\":{"             \
	"\"NetworkID\":\"ab\"" rest "}}}}]"

static void test_malformed(void **state)
{
	static const struct {
		const char *networks, *containers, *part;
	} cases[] = {
		{"", "[]", "GET /networks: the answer is empty"},
		{"[{]", "[]", "GET /networks: not valid JSON at byte 3 of 3"},
		{"[{\"Id\":\"a\",\"Id\":\"b\"}]", "[]", "duplicate object key"},
		{"{}", "[]", "GET /networks: not an array"},
		{"[]", "{}", "GET /containers/json: not an array"},
		{"[]", "[1", "GET /containers/json: not valid JSON at byte 2"},
		{"[1]", "[]", "network 0: Expected object, got integer"},
		{"[{\"Name\":\"n\"}]", "[]", "network 0: Object item not found: Id"},
		{"[{\"Id\":7,\"Name\":\"n\",\"Driver\":\"bridge\",\"Scope\":\"local\"}]", "[]",
		 "network 0: Expected string, got integer"},
		{NETWORK(",\"IPAM\":{\"Config\":7}"), "[]", "(n): IPAM.Config is not an array"},
		{NETWORK(",\"IPAM\":{\"Config\":[7]}"), "[]", "(n): IPAM.Config: Expected object"},
		{NETWORK(",\"IPAM\":{\"Config\":[{\"Subnet\":\"1.2.3.4/40\"}]}"), "[]",
		 "(n): Subnet '1.2.3.4/40' is not a prefix"},
		{NETWORK(",\"IPAM\":{\"Config\":[{\"Subnet\":\"1.2.3.0/24\",\"Gateway\":\"x\"}]}"),
		 "[]", "(n): Gateway 'x' is not an address"},
		{NETWORK(",\"Options\":{\"com.docker.network.bridge.name\":\"a23456789b123456\"}"),
		 "[]", "interface name 'a23456789b123456' is too long"},
		{NETWORK(""), "[{}]", "container 0: Object item not found: Id"},
		{NETWORK(""), CONTAINER(",\"IPAddress\":\"x\""), "(c): 'x' is not an address"},
		{NETWORK(""), CONTAINER(",\"IPAddress\":1"), "Expected string, got integer"},
	};
	struct docker_network *networks = NULL;
	char reason[DOCKER_REASON_MAX];
	size_t count = 77, i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		reason[0] = '\0';
		assert_int_equal(docker_parse_state(cases[i].networks, strlen(cases[i].networks),
						    cases[i].containers,
						    strlen(cases[i].containers), &networks, &count,
						    reason),
				 -EBADMSG);
		if (!strstr(reason, cases[i].part))
			fail_msg("'%s' is not in '%s'", cases[i].part, reason);
	}
	assert_null(networks);
	assert_int_equal(count, 77);
}

/* Every truncated document is refused, without a leak or an overrun. */
static void test_truncated(void **state)
{
	struct docker_network *networks;
	char reason[DOCKER_REASON_MAX];
	size_t count, size;

	(void)state;
	for (size = 0; size < strlen(networks_document); size++) {
		char *copy = malloc(size ? size : 1); /* exactly, to detect an overrun */

		assert_non_null(copy);
		memcpy(copy, networks_document, size);
		assert_int_equal(docker_parse_state(copy, size, "[]", 2, &networks, &count, reason),
				 -EBADMSG);
		free(copy);
	}
}

/* Images may have labels with a NUL, which jansson rejects in a key. */
static void test_nuls(void **state)
{
	static const char good[] = "{\"\\u0000\":\"a\\\\u0000\\\\\\u0000\",\"\\ufffd\":1}";
	static const char bad[] = "{\"\\u0000\":";
	char reason[DOCKER_REASON_MAX];
	json_t *value;

	(void)state;
	value = docker_load("it", good, strlen(good), reason);
	assert_non_null(value);
	/* Two keys became the same, and the later one counts. */
	assert_int_equal(json_integer_value(json_object_get(value, "\xef\xbf\xbd")), 1);
	json_decref(value);
	value = docker_load("it", good, strlen(good) - strlen(",\"\\ufffd\":1}"), reason);
	assert_null(value);
	value = docker_load("it", "[\"a\\\\u0000\\\\\\u0000\"]", 20, reason);
	assert_string_equal(json_string_value(json_array_get(value, 0)), "a\\u0000\\\xef\xbf\xbd");
	json_decref(value);
	assert_null(docker_load("it", bad, strlen(bad), reason));
	assert_non_null(strstr(reason, "it: not valid JSON at byte 10 of 10"));
}

static void test_too_many(void **state)
{
	struct docker_network *networks;
	char reason[DOCKER_REASON_MAX];
	size_t size = 2 * (DOCKER_NETWORKS_MAX + 1) + 1, count, i;
	char *text = malloc(size);

	(void)state;
	assert_non_null(text);
	for (i = 0; i < size; i++)
		text[i] = i % 2 ? '1' : ',';
	text[0] = '[';
	text[size - 1] = ']';
	assert_int_equal(docker_parse_state(text, size, "[]", 2, &networks, &count, reason),
			 -E2BIG);
	free(text);
}

static void test_events(void **state)
{
	static const struct {
		const char *line;
		enum docker_event_effect effect;
	} cases[] = {
		{"{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":\"a\"}}",
		 DOCKER_EVENT_CHANGING},
		{"{\"Type\":\"daemon\",\"Action\":\"reload\"}", DOCKER_EVENT_CHANGED},
		{"{\"status\":\"start\",\"Type\":\"container\",\"Action\":\"start\"}",
		 DOCKER_EVENT_CHANGED},
		{"{\"Type\":\"container\",\"Action\":\"exec_start: ls\"}", DOCKER_EVENT_NOTHING},
		{"{\"Type\":\"image\",\"Action\":\"create\"}", DOCKER_EVENT_NOTHING},
	};
	char reason[DOCKER_REASON_MAX];
	enum docker_event_effect effect;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(docker_parse_event(cases[i].line, strlen(cases[i].line), &effect,
						    reason),
				 0);
		assert_int_equal(effect, cases[i].effect);
	}
	assert_int_equal(docker_parse_event("{\"Type\":", 8, &effect, reason), -EBADMSG);
	assert_non_null(strstr(reason, "GET /events: not valid JSON at byte 8"));
	assert_int_equal(docker_parse_event("{\"Type\":1}", 10, &effect, reason), -EBADMSG);
	docker_parse_error("{\"message\":\"no such thing\"}", 27, reason);
	assert_string_equal(reason, "no such thing");
	docker_parse_error("<html>", 6, reason);
	assert_string_equal(reason, "");
}

struct lines {
	char text[64];
	int error;
};

static int note_line(const char *line, size_t size, void *context)
{
	struct lines *lines = context;
	size_t used = strlen(lines->text);

	(void)snprintf(lines->text + used, sizeof(lines->text) - used, "<%.*s>", (int)size, line);
	return lines->error;
}

static void test_lines(void **state)
{
	static const char stream[] = "one\n\ntwo\nthree\nrest";
	size_t size = strlen(stream), first, second;

	(void)state;
	for (first = 0; first <= size; first++) {
		for (second = first; second <= size; second++) {
			struct docker_buffer buffer = {.limit = 8};
			struct lines lines = {0};

			assert_int_equal(
				docker_buffer_lines(&buffer, stream, first, note_line, &lines), 0);
			assert_int_equal(docker_buffer_lines(&buffer, stream + first,
							     second - first, note_line, &lines),
					 0);
			assert_int_equal(docker_buffer_lines(&buffer, stream + second,
							     size - second, note_line, &lines),
					 0);
			assert_string_equal(lines.text, "<one><two><three>");
			assert_int_equal(buffer.used, 4);
			docker_buffer_release(&buffer);
		}
	}
}

static void test_line_limit(void **state)
{
	struct docker_buffer buffer = {.limit = 4};
	struct lines lines = {0};

	(void)state;
	assert_int_equal(docker_buffer_lines(&buffer, "1234\n", 5, note_line, &lines), 0);
	assert_int_equal(docker_buffer_lines(&buffer, "1234", 4, note_line, &lines), 0);
	assert_int_equal(docker_buffer_lines(&buffer, "5", 1, note_line, &lines), -EMSGSIZE);
	docker_buffer_release(&buffer);
	assert_int_equal(docker_buffer_lines(&buffer, "12345\n", 6, note_line, &lines), -EMSGSIZE);
	lines.error = -EBADMSG;
	assert_int_equal(docker_buffer_lines(&buffer, "1\n2\n", 4, note_line, &lines), -EBADMSG);
	assert_string_equal(lines.text, "<1234><1>");
	docker_buffer_release(&buffer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state),	  cmocka_unit_test(test_default_bridge),
		cmocka_unit_test(test_malformed), cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_too_many),  cmocka_unit_test(test_events),
		cmocka_unit_test(test_lines),	  cmocka_unit_test(test_line_limit),
		cmocka_unit_test(test_nuls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
