// SPDX-License-Identifier: Apache-2.0
/* The watcher of sidecars against a scripted engine: order, races and faults that a real one
 * cannot be made to show. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "docker/docker_orphans.h"
#include "docker/docker_sidecars.h"
#include "docker_fake.h"

#define SUMMARY_OF(id, name, role, mode)                                                           \
	"{\"Id\":\"" id "\",\"Names\":[\"/" name "\"],\"Image\":\"img\",\"Labels\":{"              \
	"\"dev.sidestep.role\":\"" role "\"},\"HostConfig\":{\"NetworkMode\":\"" mode "\"}}"
#define SUMMARY(id)    SUMMARY_OF(id, id "-proxy", "sidecar", "bridge")
#define USER(id, mode) SUMMARY_OF(id, id, "", mode)
#define INSPECTION_OF(id, name, image, role, running, pid)                                         \
	"{\"Id\":\"" id "\",\"Name\":\"/" name "\",\"State\":{\"Running\":" running                \
	",\"Pid\":" pid ",\"StartedAt\":\"2026-01-02T03:04:05Z\"},\"Config\":{\"Image\":\"" image  \
	"\",\"Labels\":{\"dev.sidestep.role\":\"" role "\"}}}"
#define RUNS(id, pid) INSPECTION_OF(id, id "-proxy", "img", "sidecar", "true", pid)
#define ENDED(id)     INSPECTION_OF(id, id "-proxy", "img", "sidecar", "false", "0")
#define EVENT_OF(id, action, role)                                                                 \
	"{\"Type\":\"container\",\"Action\":\"" action "\",\"Actor\":{\"ID\":\"" id                \
	"\",\"Attributes\":{\"name\":\"" id "\",\"image\":\"img\",\"dev.sidestep.role\":\"" role   \
	"\"}}}\n"
#define EVENT(id, action) EVENT_OF(id, action, "sidecar")

/* What the handler was told. */
struct seen {
	pthread_mutex_t lock;
	pthread_cond_t news;
	unsigned int snapshots;
	unsigned int lost;
	unsigned int back;
	unsigned int used; /* snapshots in which the first sidecar had a user */
	char text[256];	   /* of the last snapshot: "name:pid name:pid" */
	char reason[256];
};

struct bed {
	struct fake fake;
	struct seen seen;
	struct docker_sidecars *watch;
};

static void on_sidecars(const struct docker_sidecar *sidecars, size_t count, void *context)
{
	struct seen *seen = context;
	size_t used = 0, i;

	(void)pthread_mutex_lock(&seen->lock);
	seen->snapshots++;
	seen->text[0] = '\0';
	for (i = 0; i < count; i++)
		used += (size_t)snprintf(seen->text + used, sizeof(seen->text) - used, "%s%s:%d",
					 i ? " " : "", sidecars[i].name, (int)sidecars[i].pid);
	seen->used += count && sidecars[0].unused_since_ms == 0;
	(void)pthread_cond_signal(&seen->news);
	(void)pthread_mutex_unlock(&seen->lock);
}

static void on_connected(bool connected, const char *reason, void *context)
{
	struct seen *seen = context;

	(void)pthread_mutex_lock(&seen->lock);
	if (connected)
		seen->back++;
	else
		seen->lost++;
	(void)snprintf(seen->reason, sizeof(seen->reason), "%s", reason ? reason : "");
	(void)pthread_cond_signal(&seen->news);
	(void)pthread_mutex_unlock(&seen->lock);
}

static const struct docker_sidecars_handler handler = {.sidecars = on_sidecars,
						       .connected = on_connected};

#define WAIT_FOR(bed, counter, wanted)                                                             \
	do {                                                                                       \
		struct seen *seen = &(bed)->seen;                                                  \
                                                                                                   \
		if (!fake_wait(&seen->lock, &seen->news, &seen->counter, wanted))                  \
			fail_msg("waited for %u " #counter, (unsigned int)(wanted));               \
	} while (0)

#define WAIT_ASKED(bed, counter, wanted)                                                           \
	do {                                                                                       \
		struct fake *fake = &(bed)->fake;                                                  \
                                                                                                   \
		if (!fake_wait(&fake->lock, &fake->asked, &fake->counter, wanted))                 \
			fail_msg("waited for %u " #counter, (unsigned int)(wanted));               \
	} while (0)

static void assert_seen(struct bed *bed, const char *wanted)
{
	char text[256];

	(void)pthread_mutex_lock(&bed->seen.lock);
	memcpy(text, bed->seen.text, sizeof(text));
	(void)pthread_mutex_unlock(&bed->seen.lock);
	assert_string_equal(text, wanted);
}

static int bed_setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	if (!bed)
		return -1;
	(void)pthread_mutex_init(&bed->seen.lock, NULL);
	(void)pthread_cond_init(&bed->seen.news, NULL);
	fake_prepare(&bed->fake);
	*state = bed;
	return 0;
}

static int bed_teardown(void **state)
{
	struct bed *bed = *state;

	docker_sidecars_free(bed->watch);
	fake_let_go(&bed->fake);
	fake_release(&bed->fake);
	free(bed);
	return 0;
}

/* With nothing running, or what was set before. */
static void watch_start(struct bed *bed)
{
	static const char *const matches[] = {"by-name-*", "by/image"};

	if (bed->fake.listener < 0)
		fake_listen(&bed->fake);
	assert_int_equal(docker_sidecars_new(bed->fake.path, matches, 2, &handler, &bed->seen,
					     &bed->watch),
			 0);
	WAIT_FOR(bed, snapshots, 1);
	assert_int_equal(bed->seen.back, 1);
	assert_int_equal(bed->seen.lost, 0);
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
	bed->fake.containers[slot] = (struct fake_container) {id, body, status};
	(void)pthread_mutex_unlock(&bed->fake.lock);
}

static void send_event(struct bed *bed, const char *event)
{
	fake_event(&bed->fake, event, strlen(event));
}

static void test_first_state(void **state)
{
	struct bed *bed = *state;

	bed->fake.list = "[" SUMMARY("bb") "," SUMMARY("aa") "," USER("cc", "container:aa") "]";
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	set_container(bed, 1, "bb", RUNS("bb", "12"), 200);
	watch_start(bed);
	assert_seen(bed, "aa-proxy:11 bb-proxy:12");
	assert_int_equal(bed->seen.snapshots, 1);
	assert_int_equal(bed->seen.used, 1);
	/* What is no sidecar is not asked for. */
	assert_int_equal(bed->fake.inspections, 2);
	assert_non_null(strstr(bed->fake.events_request, "start%22%2C%22die%22"));
}

/* More than are inspected at the same time, and one that ended since the list was made. */
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
	assert_seen(bed, "aa-proxy:11");
	assert_int_equal(bed->fake.inspections, 31);
	docker_sidecars_free(bed->watch);
	bed->watch = NULL;
}

/* The event of a container leads to it alone; the list comes later. */
static void test_start_and_end(void **state)
{
	struct bed *bed = *state;

	watch_start(bed);
	assert_seen(bed, "");
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	send_event(bed, EVENT("aa", "start"));
	WAIT_FOR(bed, snapshots, 2);
	assert_seen(bed, "aa-proxy:11");
	assert_int_equal(bed->fake.lists, 1);
	assert_int_equal(bed->fake.inspections, 1);
	/* The label is not in the event of the end of one that was found by its image. */
	set_container(bed, 0, "aa", ENDED("aa"), 200);
	send_event(bed, EVENT_OF("aa", "die", ""));
	WAIT_FOR(bed, snapshots, 3);
	assert_seen(bed, "");
	set_container(bed, 0, "aa", RUNS("aa", "12"), 200);
	send_event(bed, EVENT("aa", "start"));
	WAIT_FOR(bed, snapshots, 4);
	assert_seen(bed, "aa-proxy:12");
	set_container(bed, 0, "aa", "{\"message\":\"No such container\"}", 404);
	send_event(bed, EVENT("aa", "destroy"));
	WAIT_FOR(bed, snapshots, 5);
	assert_seen(bed, "");
	assert_int_equal(bed->seen.lost, 0);
}

/* Another pid of the same container is news. */
static void test_restart(void **state)
{
	struct bed *bed = *state;

	bed->fake.list = "[" SUMMARY("aa") "]";
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	watch_start(bed);
	set_container(bed, 0, "aa", RUNS("aa", "12"), 200);
	send_event(bed, EVENT("aa", "start"));
	WAIT_FOR(bed, snapshots, 2);
	assert_seen(bed, "aa-proxy:12");
}

/* It ends and starts again while the answer of the first inspection is on its way: that answer is
 * not the last word. */
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
	/* Behind those two in the stream, so both were seen when this is asked for. */
	set_container(bed, 1, "bb", RUNS("bb", "13"), 200);
	send_event(bed, EVENT("bb", "start"));
	WAIT_ASKED(bed, inspections, 2);
	fake_let_go(&bed->fake);
	WAIT_ASKED(bed, inspections, 3);
	WAIT_FOR(bed, snapshots, 4);
	assert_seen(bed, "aa-proxy:12 bb-proxy:13");
}

/* A list that lags behind the events neither removes what runs nor revives what ended. */
static void test_list_lags(void **state)
{
	struct bed *bed = *state;

	bed->fake.list = "[" SUMMARY("bb") "]";
	set_container(bed, 1, "bb", RUNS("bb", "12"), 200);
	watch_start(bed);
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	send_event(bed, EVENT("aa", "start"));
	WAIT_FOR(bed, snapshots, 2);
	set_container(bed, 1, "bb", ENDED("bb"), 200);
	send_event(bed, EVENT("bb", "die"));
	WAIT_FOR(bed, snapshots, 3);
	WAIT_ASKED(bed, lists, 2);
	/* Both are asked for once more because of the list. */
	WAIT_ASKED(bed, inspections, 5);
	set_container(bed, 0, "aa", RUNS("aa", "21"), 200);
	send_event(bed, EVENT("aa", "start"));
	WAIT_FOR(bed, snapshots, 4);
	assert_seen(bed, "aa-proxy:21");
}

/* Of what no event told, the list does. */
static void test_missed_event(void **state)
{
	struct bed *bed = *state;

	watch_start(bed);
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	set_list(bed, "[" SUMMARY("aa") "," USER("cc", "bridge") "]");
	send_event(bed, EVENT_OF("cc", "start", ""));
	WAIT_FOR(bed, snapshots, 2);
	assert_seen(bed, "aa-proxy:11");
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
	WAIT_FOR(bed, used, 1);
	set_list(bed, "[" SUMMARY("aa") "," USER("cc", "container:a") "]");
	send_event(bed, EVENT_OF("cc", "die", ""));
	WAIT_FOR(bed, snapshots, 3);
	assert_int_equal(bed->seen.used, 1);
}

/* By name, by image, and by an image whose name only the inspection tells. */
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
	assert_seen(bed, "by-name-1:1 two:2 three:3");
	assert_int_equal(bed->fake.inspections, 4);
	/* Its new name matches no longer. */
	set_container(bed, 0, "a1", INSPECTION_OF("a1", "other", "x", "", "true", "1"), 200);
	send_event(bed, EVENT_OF("a1", "rename", ""));
	WAIT_FOR(bed, snapshots, 2);
	assert_seen(bed, "two:2 three:3");
}

/* One container that cannot be shown hides no other one. */
static void test_refused_inspection(void **state)
{
	struct bed *bed = *state;

	bed->fake.list = "[" SUMMARY("aa") "," SUMMARY("bb") "]";
	set_container(bed, 0, "aa", "{\"message\":\"RWLayer is unexpectedly nil\"}", 500);
	set_container(bed, 1, "bb", RUNS("bb", "12"), 200);
	watch_start(bed);
	assert_seen(bed, "bb-proxy:12");
	/* What is known stays. */
	set_container(bed, 1, "bb", "{}", 500);
	send_event(bed, EVENT("bb", "die"));
	WAIT_ASKED(bed, inspections, 3);
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	send_event(bed, EVENT("aa", "start"));
	WAIT_FOR(bed, snapshots, 2);
	assert_seen(bed, "aa-proxy:11 bb-proxy:12");
	assert_int_equal(bed->seen.lost, 0);
}

static void check_loss(struct bed *bed, const char *event, const char *reason)
{
	watch_start(bed);
	send_event(bed, event);
	WAIT_FOR(bed, lost, 1);
	if (!strstr(bed->seen.reason, reason))
		fail_msg("'%s' is not in '%s'", reason, bed->seen.reason);
	assert_int_equal(bed->seen.snapshots, 1);
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
	WAIT_FOR(bed, snapshots, 2);
	assert_seen(bed, "aa-proxy:11");
}

/* While the engine is away one sidecar ends, one runs with another process and one is new. */
static void test_engine_comes_and_goes(void **state)
{
	struct bed *bed = *state;

	bed->fake.list = "[" SUMMARY("aa") "," SUMMARY("bb") "]";
	set_container(bed, 0, "aa", RUNS("aa", "11"), 200);
	set_container(bed, 1, "bb", RUNS("bb", "12"), 200);
	watch_start(bed);
	assert_seen(bed, "aa-proxy:11 bb-proxy:12");
	fake_stop(&bed->fake);
	WAIT_FOR(bed, lost, 1);
	assert_int_equal(bed->seen.snapshots, 1);
	set_list(bed, "[" SUMMARY("bb") "," SUMMARY("cc") "]");
	set_container(bed, 0, "cc", RUNS("cc", "13"), 200);
	set_container(bed, 1, "bb", RUNS("bb", "22"), 200);
	fake_listen(&bed->fake);
	WAIT_FOR(bed, snapshots, 2);
	/* Never one of the old state and the new one mixed. */
	assert_seen(bed, "bb-proxy:22 cc-proxy:13");
	assert_int_equal(bed->seen.back, 2);
}

/* In the middle of inspecting. */
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
	char longer[200];

	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(docker_orphans_remove(bed->fake.path, "aa"), -ENOENT); /* no engine */
	fake_listen(&bed->fake);
	bed->fake.list = "[" SUMMARY("aa") "," USER("cc", "container:bb") "]";
	assert_int_equal(docker_orphans_remove(bed->fake.path, "bb"), -EBUSY);
	assert_int_equal(bed->fake.removals, 0);
	assert_int_equal(docker_orphans_remove(bed->fake.path, "aa"), 0);
	assert_int_equal(bed->fake.removals, 1);
	assert_non_null(strstr(bed->fake.removal, "DELETE /containers/aa?force=1 HTTP/1.1"));
	bed->fake.remove_status = 404;
	assert_int_equal(docker_orphans_remove(bed->fake.path, "aa"), 0);
	bed->fake.remove_status = 500;
	assert_int_equal(docker_orphans_remove(bed->fake.path, "aa"), -EPROTO);
	/* Not sure that it is unused: it stays. */
	bed->fake.list = "[";
	assert_int_equal(docker_orphans_remove(bed->fake.path, "aa"), -EBADMSG);
	assert_int_equal(docker_orphans_remove(bed->fake.path, "../x"), -EINVAL);
	assert_int_equal(docker_orphans_remove(bed->fake.path, longer), -EINVAL);
	assert_int_equal(docker_orphans_remove("tcp://127.0.0.1:1", "aa"), -EINVAL);
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
		TEST(test_refused_inspection),
		TEST(test_malformed_event),
		TEST(test_malformed_inspection),
		TEST(test_engine_comes_and_goes),
		TEST(test_end),
		TEST(test_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
