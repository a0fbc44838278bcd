// SPDX-License-Identifier: Apache-2.0
/* Tests the parsers of docker_sidecars_json. The documents have the shape of an engine's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "docker/docker_labels.h"
#include "docker/docker_orphans.h"
#include "docker/docker_sidecars.h"
#include "docker/docker_sidecars_json.h"
#include "lib/util.h"

#define ID	"4e9da48265569160fb2a237b98386ffc4fe3c2bcf1dbddfbe8c5acc937daf7ae"
#define LONG_ID ID "0"

static const char list_document[] =
	"[{\"Id\":\"" ID "\",\"Names\":[\"/app-proxy\"],\"Image\":\"side:1\",\"ImageID\":"
	"\"sha256:aa\",\"Command\":\"x\",\"Created\":1700000000,\"Ports\":[],\"Labels\":"
	"{\"dev.sidestep.role\":\"sidecar\",\"nul\":\"a\\u0000b\",\"a\\u0000b\":\"\"},\"State\":"
	"\"running\",\"HostConfig\":{\"NetworkMode\":\"default\"},\"NetworkSettings\":{}},"
	"{\"Id\":\"c2\",\"Names\":null,\"Image\":\"app\",\"Labels\":null,\"HostConfig\":"
	"{\"NetworkMode\":\"container:" ID "\"}}]";

#define INSPECTION(id, running, more, pid, image)                                                  \
	"{\"Id\":\"" id                                                                            \
	"\",\"Created\":\"x\",\"Name\":\"/app-proxy\",\"State\":{\"Status\":\"x\","                \
	"\"Running\":" running ",\"Paused\":false" more ",\"Pid\":" pid                            \
	",\"StartedAt\":\"2026-01-02T03:04:05.678901234Z\"},\"Image\":\"sha256:aa\","              \
	"\"HostConfig\":{\"NetworkMode\":\"bridge\"},\"Config\":{\"Image\":" image ",\"Labels\":"  \
	"{\"dev.sidestep.role\":\"sidecar\"}}}"

static void test_list(void **state)
{
	struct docker_document list;
	char reason[DOCKER_REASON_MAX] = "";

	(void)state;
	assert_int_equal(
		docker_parse_containers(list_document, strlen(list_document), &list, reason), 0);
	assert_int_equal(list.count, 2);
	assert_string_equal(list.facts[0].id, ID);
	assert_string_equal(list.facts[0].name, "app-proxy");
	assert_string_equal(list.facts[0].image, "side:1");
	assert_string_equal(list.facts[0].role, "sidecar");
	assert_null(docker_network_owner(&list.facts[0]));
	/* Names is null while the engine removes it. */
	assert_string_equal(list.facts[1].name, "c2");
	assert_string_equal(list.facts[1].role, "");
	assert_string_equal(docker_network_owner(&list.facts[1]), ID);
	docker_document_release(&list);
	assert_int_equal(docker_parse_containers("[]", 2, &list, reason), 0);
	assert_int_equal(list.count, 0);
	docker_document_release(&list);
}

static void test_inspection(void **state)
{
	static const struct {
		const char *text;
		pid_t pid;
	} cases[] = {
		{INSPECTION(ID, "true", ",\"Restarting\":false", "4711", "\"side:1\""), 4711},
		{INSPECTION(ID, "true", "", "4711", "\"side:1\""), 4711},
		/* It is between two runs. */
		{INSPECTION(ID, "true", ",\"Restarting\":true", "4711", "\"side:1\""), 0},
		{INSPECTION(ID, "false", "", "4711", "\"side:1\""), 0},
		{INSPECTION(ID, "true", "", "0", "\"side:1\""), 0},
	};
	struct docker_document inspection;
	char reason[DOCKER_REASON_MAX] = "";
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(docker_parse_inspection(cases[i].text, strlen(cases[i].text),
							 &inspection, reason),
				 0);
		assert_int_equal(inspection.count, 1);
		assert_string_equal(inspection.facts->id, ID);
		assert_string_equal(inspection.facts->name, "app-proxy");
		assert_string_equal(inspection.facts->image, "side:1");
		assert_string_equal(inspection.facts->role, "sidecar");
		assert_int_equal(inspection.facts->pid, cases[i].pid);
		assert_int_equal(inspection.facts->started, 1767323045);
		docker_document_release(&inspection);
	}
}

/* Where the engine's socket is mounted tells a sidecar which container is its own. */
static void test_mounts(void **state)
{
	static const char text[] =
		"[{\"Id\":\"" ID "\",\"Image\":\"app:1\",\"Mounts\":[{\"Destination\":\"/data\"},7,"
		"{\"Destination\":\"/run/engine\"},{\"Destination\":\"\"}]},"
		"{\"Id\":\"" ID "\",\"Image\":\"app:1\",\"Mounts\":null},"
		"{\"Id\":\"" ID "\",\"Image\":\"app:1\"}]";
	_cleanup_document_ struct docker_document list = {0};
	char reason[DOCKER_REASON_MAX] = "";

	(void)state;
	assert_int_equal(docker_parse_containers(text, strlen(text), &list, reason), 0);
	assert_true(docker_mounts_hold(&list.facts[0], "/run/engine"));
	assert_true(docker_mounts_hold(&list.facts[0], "/run/engine/docker.sock"));
	assert_false(docker_mounts_hold(&list.facts[0], "/run/engine.sock"));
	assert_false(docker_mounts_hold(&list.facts[0], "/run"));
	assert_false(docker_mounts_hold(&list.facts[1], "/run/engine"));
	assert_false(docker_mounts_hold(&list.facts[2], "/run/engine"));
}

/* Labels are bounded, and an event mixes them with an image and a name of the engine's. */
static void test_labels(void **state)
{
	static const char packed_all[] = "a\0"
					 "1\0"
					 "image\0"
					 "x\0"
					 "name\0"
					 "y";
	_cleanup_json_ json_t *labels = json_loads(
		"{\"a\":\"1\",\"number\":7,\"\":\"2\",\"image\":\"x\",\"name\":\"y\"}", 0, NULL);
	char packed[DOCKER_LABELS_MAX], *kept = NULL;
	static char large[DOCKER_LABELS_MAX];

	(void)state;
	docker_labels_pack(labels, false, packed);
	assert_memory_equal(packed, packed_all, sizeof(packed_all));
	assert_int_equal(packed[sizeof(packed_all)], '\0');
	docker_labels_pack(labels, true, packed);
	assert_memory_equal(packed,
			    "a\0"
			    "1\0",
			    sizeof("a\0"
				   "1\0"));
	docker_labels_pack(NULL, false, packed);
	assert_int_equal(packed[0], '\0');
	memset(large, 'l', sizeof(large) - 1);
	/* The first label, the key "b", two more NULs: it is one byte too long. */
	large[sizeof(large) - 4 - 2 - 1] = '\0';
	assert_int_equal(json_object_set_new(labels, "b", json_string(large)), 0);
	docker_labels_pack(labels, true, packed);
	assert_string_equal(packed + 4, "");
	large[sizeof(large) - 4 - 2 - 2] = '\0';
	assert_int_equal(json_object_set_new(labels, "b", json_string(large)), 0);
	docker_labels_pack(labels, true, packed);
	assert_string_equal(packed + 4, "b");
	assert_string_equal(packed + 6, large);
	assert_int_equal(packed[sizeof(packed) - 1], '\0');
	assert_int_equal(docker_labels_set(&kept, labels, true), 1);
	assert_int_equal(docker_labels_set(&kept, labels, true), 0);
	assert_int_equal(docker_labels_set(&kept, labels, false), 1);
	free(kept);
}

static void test_net_admin(void **state)
{
	static const struct {
		const char *host;
		bool net_admin;
	} cases[] = {
		{"", false},
		{",\"HostConfig\":{}", false},
		{",\"HostConfig\":null", false},
		{",\"HostConfig\":{\"CapAdd\":null,\"Privileged\":false}", false},
		{",\"HostConfig\":{\"CapAdd\":\"NET_ADMIN\"}", false},
		{",\"HostConfig\":{\"CapAdd\":[\"NET_RAW\",\"XNET_ADMIN\",7]}", false},
		{",\"HostConfig\":{\"CapDrop\":[\"NET_ADMIN\"],\"CapAdd\":[]}", false},
		{",\"HostConfig\":{\"CapAdd\":[\"SYS_PTRACE\",\"NET_ADMIN\"]}", true},
		{",\"HostConfig\":{\"CapAdd\":[\"CAP_NET_ADMIN\"]}", true},
		{",\"HostConfig\":{\"CapAdd\":[\"net_admin\"]}", true},
		{",\"HostConfig\":{\"CapAdd\":[\"ALL\"]}", true},
		{",\"HostConfig\":{\"CapAdd\":null,\"Privileged\":true}", true},
	};
	struct docker_document inspection;
	char reason[DOCKER_REASON_MAX] = "", text[512];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		(void)snprintf(text, sizeof(text),
			       "{\"Id\":\"c1\",\"Name\":\"/a\",\"State\":{\"Running\":true,"
			       "\"Pid\":7},\"Config\":{\"Image\":\"x\"}%s}",
			       cases[i].host);
		assert_int_equal(docker_parse_inspection(text, strlen(text), &inspection, reason),
				 0);
		assert_int_equal(inspection.facts->net_admin, cases[i].net_admin);
		docker_document_release(&inspection);
	}
}

static void test_event(void **state)
{
	static const char start[] =
		"{\"status\":\"start\",\"id\":\"c1\",\"from\":\"side:1\",\"Type\":\"container\","
		"\"Action\":\"start\",\"Actor\":{\"ID\":\"c1\",\"Attributes\":{"
		"\"dev.sidestep.role\":\"sidecar\",\"image\":\"side:1\",\"name\":\"app-proxy\"}},"
		"\"scope\":\"local\",\"time\":1,\"timeNano\":1}";
	static const char other[] = "{\"Type\":\"network\",\"Actor\":{\"ID\":\"/\"}}";
	struct docker_document event;
	char reason[DOCKER_REASON_MAX] = "";

	(void)state;
	assert_int_equal(docker_parse_container_event(start, strlen(start), &event, reason), 0);
	assert_int_equal(event.count, 1);
	assert_string_equal(event.facts->id, "c1");
	assert_string_equal(event.facts->name, "app-proxy");
	assert_string_equal(event.facts->image, "side:1");
	assert_int_equal(docker_selects(event.facts, NULL, 0), DOCKER_SELECTED);
	docker_document_release(&event);
	assert_int_equal(docker_parse_container_event(other, strlen(other), &event, reason), 0);
	assert_int_equal(event.count, 0);
	docker_document_release(&event);
}

typedef int parser(const char *text, size_t size, struct docker_document *document,
		   char reason[DOCKER_REASON_MAX]);

static void test_malformed(void **state)
{
	static const struct {
		parser *parse;
		const char *text, *part;
	} cases[] = {
		{docker_parse_containers, "", "GET /containers/json: the answer is empty"},
		{docker_parse_containers, "[{]", "GET /containers/json: not valid JSON"},
		{docker_parse_containers, "{}", "GET /containers/json: not an array"},
		{docker_parse_containers, "[1]", "container 0: Expected object, got integer"},
		{docker_parse_containers, "[{\"Id\":\"c1\"}]", "Object item not found: Image"},
		/* An id becomes part of a path. */
		{docker_parse_containers, "[{\"Id\":\"../events\",\"Image\":\"i\"}]",
		 "container 0: bad Id '../events'"},
		{docker_parse_containers, "[{\"Id\":\"\",\"Image\":\"i\"}]", "bad Id ''"},
		{docker_parse_containers, "[{\"Id\":\"" LONG_ID "\",\"Image\":\"i\"}]", "bad Id"},
		{docker_parse_inspection, "[]", "GET /containers/ID/json: Expected object"},
		{docker_parse_inspection, "{}", "Object item not found: Id"},
		{docker_parse_inspection, INSPECTION("c1", "1", "", "1", "\"i\""),
		 "Expected true or false, got integer"},
		{docker_parse_inspection, INSPECTION("c1", "true", "", "1", "7"),
		 "Expected string, got integer"},
		{docker_parse_inspection, INSPECTION("c1", "true", "", "-1", "\"i\""), "or Pid"},
		{docker_parse_inspection, INSPECTION("c1", "true", "", "4294967297", "\"i\""),
		 "or Pid"},
		{docker_parse_inspection, INSPECTION("x", "true", "", "1", "\"i\""), "bad Id 'x'"},
		{docker_parse_container_event, "{\"Type\":", "GET /events: not valid JSON"},
		{docker_parse_container_event, "{\"Type\":1}", "Expected string, got integer"},
		{docker_parse_container_event, "{\"Type\":\"container\"}", "bad Actor.ID ''"},
	};
	struct docker_document document;
	char reason[DOCKER_REASON_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		reason[0] = '\0';
		assert_int_equal(cases[i].parse(cases[i].text, strlen(cases[i].text), &document,
						reason),
				 -EBADMSG);
		if (!strstr(reason, cases[i].part))
			fail_msg("'%s' is not in '%s'", cases[i].part, reason);
	}
}

/* Every truncated document is refused, without a leak or an overrun. */
static void test_truncated(void **state)
{
	static const char inspection[] = INSPECTION(ID, "true", "", "4711", "\"side:1\"");
	static const struct {
		parser *parse;
		const char *text;
	} cases[] = {
		{docker_parse_containers, list_document},
		{docker_parse_inspection, inspection},
		{docker_parse_container_event, inspection},
	};
	struct docker_document document;
	char reason[DOCKER_REASON_MAX];
	size_t i, size;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size = 0; size < strlen(cases[i].text); size++) {
			char *copy = malloc(size ? size : 1); /* exactly, to detect an overrun */

			assert_non_null(copy);
			memcpy(copy, cases[i].text, size);
			assert_int_equal(cases[i].parse(copy, size, &document, reason), -EBADMSG);
			free(copy);
		}
	}
}

static void test_selection(void **state)
{
	static const char *const matches[] = {"web-*", "*/side:?"};
	static const struct {
		struct docker_facts facts;
		enum docker_selection with, without;
	} cases[] = {
		{{.role = "sidecar", .name = "a", .image = "b"}, DOCKER_SELECTED, DOCKER_SELECTED},
		{{.role = "Sidecar", .name = "a", .image = "b"},
		 DOCKER_NOT_SELECTED,
		 DOCKER_NOT_SELECTED},
		{{.role = "", .name = "web-1", .image = "b"}, DOCKER_SELECTED, DOCKER_NOT_SELECTED},
		{{.role = "", .name = "my-web-1", .image = "b"},
		 DOCKER_NOT_SELECTED,
		 DOCKER_NOT_SELECTED},
		{{.role = "", .name = "a", .image = "host:5000/x/side:2"},
		 DOCKER_SELECTED,
		 DOCKER_NOT_SELECTED},
		{{.role = "", .name = "a", .image = "x/side:22"},
		 DOCKER_NOT_SELECTED,
		 DOCKER_NOT_SELECTED},
		{{.role = "", .name = "a", .image = "sha256:0123"},
		 DOCKER_PERHAPS_SELECTED,
		 DOCKER_NOT_SELECTED},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(docker_selects(&cases[i].facts, matches, ARRAY_SIZE(matches)),
				 cases[i].with);
		assert_int_equal(docker_selects(&cases[i].facts, NULL, 0), cases[i].without);
	}
}

static void test_orphaned(void **state)
{
	static const struct {
		const char *name;
		int64_t unused_since_ms;
		bool orphaned; /* at time 5000 with an age of 1000 */
	} cases[] = {
		{"app-proxy", 4000, true}, {"app-proxy", 4001, false},
		{"app-proxy", 0, false},   {"proxy", 1, false},
		{"-proxy", 1, false},	   {"a-proxy", 1, true},
		{"app-proxy2", 1, false},  {"", 1, false},
		{"app-Proxy", 1, false},   {"a-proxy-proxy", 1, true},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct docker_sidecar sidecar = {
			.name = (char *)cases[i].name,
			.unused_since_ms = cases[i].unused_since_ms,
		};

		assert_int_equal(docker_orphans_match(&sidecar, 5000, 1000), cases[i].orphaned);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),	  cmocka_unit_test(test_inspection),
		cmocka_unit_test(test_mounts),	  cmocka_unit_test(test_labels),
		cmocka_unit_test(test_net_admin), cmocka_unit_test(test_event),
		cmocka_unit_test(test_malformed), cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_selection), cmocka_unit_test(test_orphaned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
