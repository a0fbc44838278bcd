// SPDX-License-Identifier: Apache-2.0
/* Tests docker_sidecars and docker_orphans against a scripted engine, for orders, races and faults
 * that a real one does not show on demand. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "docker/docker_orphans.h"
#include "docker/docker_sidecars.h"
#include "support/docker_fake.h"

#define SUMMARY_OF(id, name, role, mode)                                                           \
	"{\"Id\":\"" id "\",\"Names\":[\"/" name "\"],\"Image\":\"img\",\"Labels\":{"              \
	"\"dev.sidestep.role\":\"" role "\"},\"HostConfig\":{\"NetworkMode\":\"" mode "\"}}"
#define SUMMARY(id)    SUMMARY_OF(id, id "-proxy", "sidecar", "bridge")
#define USER(id, mode) SUMMARY_OF(id, id, "", mode)
#define INSPECTION_HOST(id, name, image, role, running, pid, host)                                 \
	"{\"Id\":\"" id "\",\"Name\":\"/" name "\",\"State\":{\"Running\":" running                \
	",\"Pid\":" pid ",\"StartedAt\":\"2026-01-02T03:04:05Z\"},\"Config\":{\"Image\":\"" image  \
	"\",\"Labels\":{\"dev.sidestep.role\":\"" role "\"}},\"HostConfig\":{" host "}}"
#define INSPECTION_OF(id, name, image, role, running, pid)                                         \
	INSPECTION_HOST(id, name, image, role, running, pid, "\"CapAdd\":[\"NET_ADMIN\"]")
#define RUNS(id, pid)		   INSPECTION_OF(id, id "-proxy", "img", "sidecar", "true", pid)
#define ENDED(id)		   INSPECTION_OF(id, id "-proxy", "img", "sidecar", "false", "0")
#define EVENT_OF(id, action, role) EVENT_NAMED(id, action, role, id)
#define EVENT_NAMED(id, action, role, name)                                                        \
	"{\"Type\":\"container\",\"Action\":\"" action "\",\"Actor\":{\"ID\":\"" id                \
	"\",\"Attributes\":{\"name\":\"" name "\",\"image\":\"img\",\"dev.sidestep.role\":\"" role \
	"\"}}}\n"
#define EVENT(id, action) EVENT_OF(id, action, "sidecar")

/* Waits for the state with this number, and compares it. */
#define EXPECT_SEEN(bed, number, text)                                                             \
	do {                                                                                       \
		WAIT_SEEN(bed, states, number);                                                    \
		docker_seen_assert_text(&(bed)->seen, text);                                       \
	} while (0)

struct bed {
	struct docker_fake fake;
	struct docker_seen seen;
	struct docker_sidecars *watch;
};

/* Records "name:pid name:pid", and whether the first sidecar has a user. '!' stands behind a
 * guarded container, and '?' before one that is no sidecar. */
static void on_sidecars(const struct docker_sidecar *sidecars, size_t count, void *context)
{
	size_t used = 0, i;
	char text[256] = "";

	for (i = 0; i < count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s%s:%d%s",
					 i ? " " : "", sidecars[i].sidecar ? "" : "?",
					 sidecars[i].name, (int)sidecars[i].pid,
					 sidecars[i].guarded ? "!" : "");
	docker_seen_state(context, text, count && sidecars[0].unused_since_ms == 0);
}

static const struct docker_sidecars_handler handler = {.sidecars = on_sidecars,
						       .connected = docker_seen_connected};

static int bed_setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	if (!bed)
		return -1;
	docker_seen_init(&bed->seen);
	docker_fake_prepare(&bed->fake);
	*state = bed;
	return 0;
}

static int bed_teardown(void **state)
{
	struct bed *bed = *state;

	docker_sidecars_free(bed->watch);
	docker_fake_let_go(&bed->fake);
	docker_fake_release(&bed->fake);
	free(bed);
	return 0;
}

/* Starts the engine, unless the test did, and the watcher. */
static void watch_start_guards(struct bed *bed, const char *const *guards, size_t guard_count)
{
	static const char *const matches[] = {"by-name-*", "by/image"};
	const struct docker_patterns patterns = {matches, 2, guards, guard_count, false};
	struct docker_engine engine;

	if (bed->fake.listener < 0)
		docker_fake_listen(&bed->fake);
	assert_int_equal(docker_engine_init(&engine, bed->fake.path), 0);
	assert_int_equal(docker_sidecars_new(&engine, &patterns, &handler, &bed->seen, &bed->watch),
			 0);
	WAIT_SEEN(bed, states, 1);
	assert_int_equal(bed->seen.back, 1);
	assert_int_equal(bed->seen.lost, 0);
}

static void watch_start(struct bed *bed)
{
	watch_start_guards(bed, NULL, 0);
}

static void set_list(struct bed *bed, const char *list)
{
	(void)pthread_mutex_lock(&bed->fake.lock);
	bed->fake.list = list;
	(void)pthread_mutex_unlock(&bed->fake.lock);
}

static void set_container(struct bed *bed, size_t slot, const char *id, const char *body,
			  int status)
{
	(void)pthread_mutex_lock(&bed->fake.lock);
	bed->fake.containers[slot] = (struct docker_fake_container) {id, body, status};
	(void)pthread_mutex_unlock(&bed->fake.lock);
}

static void send_event(struct bed *bed, const char *event)
{
	docker_fake_event(&bed->fake, event, strlen(event));
}

static void test_first_state(void **state)
{
	struct bed *bed = *state;

	bed->fake.list = "[" SUMMARY("bb") "," SUMMARY("aa") "," USER("cc", "container:aa") "]";
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	set_container(bed, 1, "bb", RUNS("bb", "12"), 200);
	watch_start(bed);
	docker_seen_assert_text(&bed->seen, "aa-proxy:11 bb-proxy:12");
	assert_int_equal(bed->seen.states, 1);
	assert_int_equal(bed->seen.used, 1);
	/* A container that is no sidecar is not inspected. */
	assert_int_equal(bed->fake.inspections, 2);
	assert_non_null(strstr(bed->fake.events_request, "start%22%2C%22die%22"));
}

/* There are more than can be inspected at the same time, and all but one have ended since the list.
 */
static void test_many(void **state)
{
	struct bed *bed = *state;
	char list[8192];
	size_t used = 0, i;

	used += (size_t)snprintf(list, sizeof(list), "[" SUMMARY("aa"));
	for (i = 0; i < 30; i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used,
					 ",{\"Id\":\"b%02zu\",\"Image\":\"by/image\"}", i);
	(void)snprintf(list + used, sizeof(list) - used, "]");
	bed->fake.list = list;
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	watch_start(bed);
	docker_seen_assert_text(&bed->seen, "aa-proxy:11");
	assert_int_equal(bed->fake.inspections, 31);
	docker_sidecars_free(bed->watch);
	bed->watch = NULL;
}

/* An event has only its container inspected; the list is read later. */
static void test_start_and_end(void **state)
{
	struct bed *bed = *state;

	watch_start(bed);
	docker_seen_assert_text(&bed->seen, "");
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	send_event(bed, EVENT("aa", "start"));
	EXPECT_SEEN(bed, 2, "aa-proxy:11");
	assert_int_equal(bed->fake.lists, 1);
	assert_int_equal(bed->fake.inspections, 1);
	/* An event of its end need not have the label. */
	set_container(bed, 0, "aa", ENDED("aa"), 200);
	send_event(bed, EVENT_OF("aa", "die", ""));
	EXPECT_SEEN(bed, 3, "");
	set_container(bed, 0, "aa", RUNS("aa", "12"), 200);
	send_event(bed, EVENT("aa", "start"));
	EXPECT_SEEN(bed, 4, "aa-proxy:12");
	set_container(bed, 0, "aa", "{\"message\":\"No such container\"}", 404);
	send_event(bed, EVENT("aa", "destroy"));
	EXPECT_SEEN(bed, 5, "");
	assert_int_equal(bed->seen.lost, 0);
}

/* A new pid of the same container is reported. */
static void test_restart(void **state)
{
	struct bed *bed = *state;

	bed->fake.list = "[" SUMMARY("aa") "]";
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	watch_start(bed);
	set_container(bed, 0, "aa", RUNS("aa", "12"), 200);
	send_event(bed, EVENT("aa", "start"));
	EXPECT_SEEN(bed, 2, "aa-proxy:12");
}

/* It ends and starts again while the first inspection's answer is on the way. Another inspection
 * follows. */
static void test_answer_older_than_event(void **state)
{
	struct bed *bed = *state;

	watch_start(bed);
	bed->fake.hold = true;
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	send_event(bed, EVENT("aa", "start"));
	WAIT_ASKED(bed, inspections, 1);
	set_container(bed, 0, "aa", RUNS("aa", "12"), 200);
	send_event(bed, EVENT("aa", "die"));
	send_event(bed, EVENT("aa", "start"));
	/* This event is behind those two in the stream, so its inspection proves that they were
	 * read. */
	set_container(bed, 1, "bb", RUNS("bb", "13"), 200);
	send_event(bed, EVENT("bb", "start"));
	WAIT_ASKED(bed, inspections, 2);
	docker_fake_let_go(&bed->fake);
	WAIT_ASKED(bed, inspections, 3);
	EXPECT_SEEN(bed, 4, "aa-proxy:12 bb-proxy:13");
}

/* A list that lags behind the events neither removes a running sidecar nor revives an ended one. */
static void test_list_lags(void **state)
{
	struct bed *bed = *state;

	bed->fake.list = "[" SUMMARY("bb") "]";
	set_container(bed, 1, "bb", RUNS("bb", "12"), 200);
	watch_start(bed);
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	send_event(bed, EVENT("aa", "start"));
	WAIT_SEEN(bed, states, 2);
	set_container(bed, 1, "bb", ENDED("bb"), 200);
	send_event(bed, EVENT("bb", "die"));
	WAIT_SEEN(bed, states, 3);
	WAIT_ASKED(bed, lists, 2);
	/* Because of the list, both are inspected again. */
	WAIT_ASKED(bed, inspections, 5);
	set_container(bed, 0, "aa", RUNS("aa", "21"), 200);
	send_event(bed, EVENT("aa", "start"));
	EXPECT_SEEN(bed, 4, "aa-proxy:21");
}

/* The list makes up for a missed event. */
static void test_missed_event(void **state)
{
	struct bed *bed = *state;

	watch_start(bed);
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	set_list(bed, "[" SUMMARY("aa") "," USER("cc", "bridge") "]");
	send_event(bed, EVENT_OF("cc", "start", ""));
	EXPECT_SEEN(bed, 2, "aa-proxy:11");
	assert_int_equal(bed->fake.inspections, 1);
}

static void test_users(void **state)
{
	struct bed *bed = *state;

	bed->fake.list = "[" SUMMARY("aa") "]";
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	watch_start(bed);
	assert_int_equal(bed->seen.used, 0);
	set_list(bed, "[" SUMMARY("aa") "," USER("cc", "container:aa") "]");
	send_event(bed, EVENT_OF("cc", "start", ""));
	WAIT_SEEN(bed, used, 1);
	set_list(bed, "[" SUMMARY("aa") "," USER("cc", "container:a") "]");
	send_event(bed, EVENT_OF("cc", "die", ""));
	WAIT_SEEN(bed, states, 3);
	assert_int_equal(bed->seen.used, 1);
}

/* Sidecars match by name, by image, or by an image whose name only the inspection tells. */
static void test_matches(void **state)
{
	struct bed *bed = *state;

	bed->fake.list = "[{\"Id\":\"a1\",\"Names\":[\"/by-name-1\"],\"Image\":\"x\"},"
			 "{\"Id\":\"a2\",\"Names\":[\"/two\"],\"Image\":\"by/image\"},"
			 "{\"Id\":\"a3\",\"Names\":[\"/three\"],\"Image\":\"sha256:01\"},"
			 "{\"Id\":\"a4\",\"Names\":[\"/four\"],\"Image\":\"sha256:02\"},"
			 "{\"Id\":\"a5\",\"Names\":[\"/five\"],\"Image\":\"y\"}]";
	set_container(bed, 0, "a1", INSPECTION_OF("a1", "by-name-1", "x", "", "true", "1"), 200);
	set_container(bed, 1, "a2", INSPECTION_OF("a2", "two", "by/image", "", "true", "2"), 200);
	set_container(bed, 2, "a3", INSPECTION_OF("a3", "three", "by/image", "", "true", "3"), 200);
	set_container(bed, 3, "a4", INSPECTION_OF("a4", "four", "y", "", "true", "4"), 200);
	watch_start(bed);
	docker_seen_assert_text(&bed->seen, "by-name-1:1 two:2 three:3");
	assert_int_equal(bed->fake.inspections, 4);
	/* Its new name does not match. */
	set_container(bed, 0, "a1", INSPECTION_OF("a1", "other", "x", "", "true", "1"), 200);
	send_event(bed, EVENT_OF("a1", "rename", ""));
	EXPECT_SEEN(bed, 2, "two:2 three:3");
}

/* A label or a name counts only with CAP_NET_ADMIN. An application's image may have the label, too.
 */
static void test_without_net_admin(void **state)
{
	struct bed *bed = *state;

	bed->fake.list = "[" SUMMARY("aa") "," SUMMARY("bb") ",{\"Id\":\"cc\",\"Names\":["
							     "\"/by-name-1\"],\"Image\":\"x\"}]";
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	set_container(bed, 1, "bb", INSPECTION_HOST("bb", "bb", "x", "sidecar", "true", "12", ""),
		      200);
	set_container(bed, 2, "cc",
		      INSPECTION_HOST("cc", "by-name-1", "x", "", "true", "13",
				      "\"CapAdd\":null,\"Privileged\":false"),
		      200);
	watch_start(bed);
	docker_seen_assert_text(&bed->seen, "aa-proxy:11");
	assert_int_equal(bed->fake.inspections, 3);
}

/* With a guarded name, all known containers are reported. Their names come before they run. */
static void test_guards(void **state)
{
	static const char *const guards[] = {"app*"};
	struct bed *bed = *state;

	bed->fake.list = "[" SUMMARY("aa") "," USER("bb", "bridge") "]";
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	set_container(bed, 1, "bb", INSPECTION_HOST("bb", "app-1", "x", "", "true", "12", ""), 200);
	watch_start_guards(bed, guards, 1);
	docker_seen_assert_text(&bed->seen, "aa-proxy:11 ?app-1:12!");
	/* The engine answers no inspection while a container starts. */
	bed->fake.hold = true;
	set_container(bed, 2, "cc", INSPECTION_HOST("cc", "other", "x", "", "true", "13", ""), 200);
	send_event(bed, EVENT_NAMED("cc", "create", "", "app-2"));
	EXPECT_SEEN(bed, 2, "aa-proxy:11 ?app-1:12! ?app-2:0!");
	send_event(bed, EVENT_NAMED("cc", "rename", "", "other"));
	EXPECT_SEEN(bed, 3, "aa-proxy:11 ?app-1:12! ?other:0");
	docker_fake_let_go(&bed->fake);
	EXPECT_SEEN(bed, 4, "aa-proxy:11 ?app-1:12! ?other:13");
	/* One that has ended may start again, until it is removed. */
	set_container(bed, 1, "bb", INSPECTION_HOST("bb", "app-1", "x", "", "false", "0", ""), 200);
	send_event(bed, EVENT_NAMED("bb", "die", "", "app-1"));
	EXPECT_SEEN(bed, 5, "aa-proxy:11 ?app-1:0! ?other:13");
	set_container(bed, 1, "bb", "{\"message\":\"No such container\"}", 404);
	send_event(bed, EVENT_NAMED("bb", "destroy", "", "app-1"));
	EXPECT_SEEN(bed, 6, "aa-proxy:11 ?other:13");
}

/* A container that cannot be inspected hides no other one. */
static void test_refused_inspection(void **state)
{
	struct bed *bed = *state;

	bed->fake.list = "[" SUMMARY("aa") "," SUMMARY("bb") "]";
	set_container(bed, 0, "aa", "{\"message\":\"RWLayer is unexpectedly nil\"}", 500);
	set_container(bed, 1, "bb", RUNS("bb", "12"), 200);
	watch_start(bed);
	docker_seen_assert_text(&bed->seen, "bb-proxy:12");
	/* A known sidecar stays. */
	set_container(bed, 1, "bb", "{}", 500);
	send_event(bed, EVENT("bb", "die"));
	WAIT_ASKED(bed, inspections, 3);
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	send_event(bed, EVENT("aa", "start"));
	EXPECT_SEEN(bed, 2, "aa-proxy:11 bb-proxy:12");
	assert_int_equal(bed->seen.lost, 0);
}

static void check_loss(struct bed *bed, const char *event, const char *reason)
{
	watch_start(bed);
	send_event(bed, event);
	WAIT_SEEN(bed, lost, 1);
	docker_seen_assert_reason(&bed->seen, reason);
	assert_int_equal(bed->seen.states, 1);
}

static void test_malformed_event(void **state)
{
	check_loss(*state, "{\"Type\":\"container\"}\n", "GET /events: bad Actor.ID ''");
}

static void test_malformed_inspection(void **state)
{
	struct bed *bed = *state;

	set_container(bed, 0, "aa", "[]", 200);
	check_loss(bed, EVENT("aa", "start"), "GET /containers/ID/json: Expected object");
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	set_list(bed, "[" SUMMARY("aa") "]");
	EXPECT_SEEN(bed, 2, "aa-proxy:11");
}

/* While the engine is away, one sidecar ends, one gets another process, and one is new. */
static void test_engine_comes_and_goes(void **state)
{
	struct bed *bed = *state;

	bed->fake.list = "[" SUMMARY("aa") "," SUMMARY("bb") "]";
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	set_container(bed, 1, "bb", RUNS("bb", "12"), 200);
	watch_start(bed);
	docker_seen_assert_text(&bed->seen, "aa-proxy:11 bb-proxy:12");
	docker_fake_stop(&bed->fake);
	WAIT_SEEN(bed, lost, 1);
	assert_int_equal(bed->seen.states, 1);
	set_list(bed, "[" SUMMARY("bb") "," SUMMARY("cc") "]");
	set_container(bed, 0, "cc", RUNS("cc", "13"), 200);
	set_container(bed, 1, "bb", RUNS("bb", "22"), 200);
	docker_fake_listen(&bed->fake);
	WAIT_SEEN(bed, states, 2);
	/* The old and the new state are never mixed. */
	docker_seen_assert_text(&bed->seen, "bb-proxy:22 cc-proxy:13");
	assert_int_equal(bed->seen.back, 2);
}

/* It ends during an inspection. */
static void test_end(void **state)
{
	struct bed *bed = *state;

	watch_start(bed);
	bed->fake.hold = true;
	send_event(bed, EVENT("aa", "start"));
	WAIT_ASKED(bed, inspections, 1);
	docker_sidecars_free(bed->watch);
	bed->watch = NULL;
	docker_sidecars_free(NULL);
}

static void test_remove(void **state)
{
	struct bed *bed = *state;
	struct docker_engine engine;
	char longer[200];

	assert_int_equal(docker_engine_init(&engine, "tcp://127.0.0.1:1"), -EINVAL);
	assert_int_equal(docker_engine_init(&engine, bed->fake.path), 0);
	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(docker_orphans_remove(&engine, "aa"), -ENOENT); /* no engine */
	docker_fake_listen(&bed->fake);
	bed->fake.list = "[" SUMMARY("aa") "," USER("cc", "container:bb") "]";
	assert_int_equal(docker_orphans_remove(&engine, "bb"), -EBUSY);
	assert_int_equal(bed->fake.removals, 0);
	assert_int_equal(docker_orphans_remove(&engine, "aa"), 0);
	assert_int_equal(bed->fake.removals, 1);
	assert_non_null(strstr(bed->fake.removal, "DELETE /containers/aa?force=1 HTTP/1.1"));
	bed->fake.remove_status = 404;
	assert_int_equal(docker_orphans_remove(&engine, "aa"), 0);
	bed->fake.remove_status = 500;
	assert_int_equal(docker_orphans_remove(&engine, "aa"), -EPROTO);
	/* It is not removed unless the engine says that it is unused. */
	bed->fake.list = "[";
	assert_int_equal(docker_orphans_remove(&engine, "aa"), -EBADMSG);
	assert_int_equal(docker_orphans_remove(&engine, "../x"), -EINVAL);
	assert_int_equal(docker_orphans_remove(&engine, longer), -EINVAL);
	assert_int_equal(bed->fake.removals, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_state),
		TEST(test_many),
		TEST(test_start_and_end),
		TEST(test_restart),
		TEST(test_answer_older_than_event),
		TEST(test_list_lags),
		TEST(test_missed_event),
		TEST(test_users),
		TEST(test_matches),
		TEST(test_without_net_admin),
		TEST(test_guards),
		TEST(test_refused_inspection),
		TEST(test_malformed_event),
		TEST(test_malformed_inspection),
		TEST(test_engine_comes_and_goes),
		TEST(test_end),
		TEST(test_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
