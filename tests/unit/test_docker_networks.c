// SPDX-License-Identifier: Apache-2.0
/* Tests docker_networks against a scripted engine, for faults that a real one does not show on
 * demand. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "docker/docker_api.h"
#include "docker/docker_networks.h"
#include "support/docker_fake.h"

#define ONE_NETWORK(name)                                                                          \
	"[{\"Name\":\"" name "\",\"Id\":\"" name "\",\"Scope\":\"local\",\"Driver\":\"bridge\","   \
	"\"IPAM\":{\"Config\":[{\"Subnet\":\"172.18.0.0/16\"}]}}]"
#define CREATE_EVENT                                                                               \
	"{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":\"\\u00e9\"}}\n"
#define CONNECT_EVENT "{\"Type\":\"network\",\"Action\":\"connect\"}\n"
#define OTHER_EVENT   "{\"Type\":\"container\",\"Action\":\"exec_start: true\"}\n"

struct bed {
	struct docker_fake fake;
	struct docker_seen seen;
	struct docker_networks *watch;
};

static void on_networks(const struct docker_network *networks, size_t count, void *context)
{
	docker_seen_state(context, count ? networks[0].name : "", false);
}

static const struct docker_networks_handler handler = {.networks = on_networks,
						       .connected = docker_seen_connected};

static void pause_ms(long milliseconds)
{
	struct timespec pause = {.tv_nsec = milliseconds * 1000000};

	(void)nanosleep(&pause, NULL);
}

static double seconds_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int bed_setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	if (!bed)
		return -1;
	docker_seen_init(&bed->seen);
	docker_fake_prepare(&bed->fake);
	bed->fake.networks = ONE_NETWORK("first");
	*state = bed;
	return 0;
}

static int bed_teardown(void **state)
{
	struct bed *bed = *state;

	docker_networks_free(bed->watch);
	docker_fake_release(&bed->fake);
	free(bed);
	return 0;
}

static void watch_start(struct bed *bed)
{
	assert_int_equal(docker_networks_new(bed->fake.path, &handler, &bed->seen, &bed->watch), 0);
}

static void set_networks(struct bed *bed, const char *body, size_t filler, int status)
{
	(void)pthread_mutex_lock(&bed->fake.lock);
	bed->fake.networks = body;
	bed->fake.networks_filler = filler;
	bed->fake.status = status;
	(void)pthread_mutex_unlock(&bed->fake.lock);
}

static void test_first_state(void **state)
{
	struct bed *bed = *state;

	docker_fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_SEEN(bed, states, 1);
	assert_int_equal(bed->seen.back, 1);
	assert_int_equal(bed->seen.lost, 0);
	docker_seen_assert_text(&bed->seen, "first");
	assert_non_null(strstr(bed->fake.events_request, "GET /events?since="));
	assert_non_null(strstr(bed->fake.events_request, "filters=%7B%22type%22%3A%5B%22network"));
}

/* An engine without events for networks. */
static void test_resync(void **state)
{
	static const struct docker_networks_handler resyncing = {
		.networks = on_networks,
		.connected = docker_seen_connected,
		.resync_ms = 20,
	};
	struct bed *bed = *state;

	docker_fake_listen(&bed->fake);
	assert_int_equal(docker_networks_new(bed->fake.path, &resyncing, &bed->seen, &bed->watch),
			 0);
	WAIT_SEEN(bed, states, 1);
	set_networks(bed, ONE_NETWORK("second"), 0, 200);
	WAIT_SEEN(bed, states, 4);
	docker_seen_assert_text(&bed->seen, "second");
	assert_int_equal(bed->seen.lost, 0);
}

static void test_events_in_pieces(void **state)
{
	struct bed *bed = *state;
	size_t piece, i;

	docker_fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_SEEN(bed, states, 1);
	for (piece = 1; piece <= strlen(CREATE_EVENT); piece++) {
		docker_fake_event(&bed->fake, CREATE_EVENT, piece);
		WAIT_SEEN(bed, states, 1 + (unsigned int)piece);
	}
	/* A further read would mean one read per piece instead of per event. */
	pause_ms(50);
	assert_int_equal(bed->fake.fetches, piece);
	for (i = 0; i < 50; i++)
		docker_fake_event(&bed->fake, OTHER_EVENT, 7);
	pause_ms(50);
	assert_int_equal(bed->fake.fetches, piece);
	assert_int_equal(bed->seen.lost, 0);
}

/* An engine sends the event of a new membership before it shows the membership. */
static void test_late_effect(void **state)
{
	struct bed *bed = *state;

	docker_fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_SEEN(bed, states, 1);
	docker_fake_event(&bed->fake, CONNECT_EVENT, 100);
	WAIT_SEEN(bed, states, 2);
	set_networks(bed, ONE_NETWORK("late"), 0, 200);
	WAIT_SEEN(bed, states, 3);
	docker_seen_assert_text(&bed->seen, "late");
}

static void test_coalesced(void **state)
{
	struct bed *bed = *state;
	char *many = calloc(1001, strlen(CREATE_EVENT));
	size_t i;

	assert_non_null(many);
	for (i = 0; i < 1000; i++)
		memcpy(many + i * strlen(CREATE_EVENT), CREATE_EVENT, strlen(CREATE_EVENT));
	docker_fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_SEEN(bed, states, 1);
	set_networks(bed, ONE_NETWORK("second"), 0, 200);
	docker_fake_event(&bed->fake, many, 1000 * strlen(CREATE_EVENT));
	WAIT_SEEN(bed, states, 2);
	pause_ms(100);
	docker_seen_assert_text(&bed->seen, "second");
	/* The 60 KB arrive in a few reads of at most 16 KB. */
	assert_true(bed->fake.fetches >= 2 && bed->fake.fetches <= 8);
	free(many);
}

/* Checks that a bad answer causes a loss, and that the old state stays until a good answer comes.
 */
static void check_loss(struct bed *bed, const char *body, size_t filler, int status,
		       const char *reason)
{
	docker_fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_SEEN(bed, states, 1);
	set_networks(bed, body, filler, status);
	docker_fake_event(&bed->fake, CREATE_EVENT, 100);
	WAIT_SEEN(bed, lost, 1);
	docker_seen_assert_reason(&bed->seen, reason);
	assert_int_equal(bed->seen.states, 1);
	docker_seen_assert_text(&bed->seen, "first");
	set_networks(bed, ONE_NETWORK("later"), 0, 200);
	WAIT_SEEN(bed, states, 2);
	docker_seen_assert_text(&bed->seen, "later");
	assert_int_equal(bed->seen.back, 2);
	assert_true(bed->fake.streams >= 2);
}

static void test_malformed_networks(void **state)
{
	check_loss(*state, "[{\"Name\":]", 0, 200, "GET /networks: not valid JSON at byte 10");
}

static void test_empty_answer(void **state)
{
	check_loss(*state, "", 0, 200, "GET /networks: the answer is empty");
}

static void test_refused_networks(void **state)
{
	check_loss(*state, "{\"message\":\"too busy\"}", 0, 503,
		   "GET /networks: status 503: too busy");
}

static void test_oversized_networks(void **state)
{
	check_loss(*state, "[]", DOCKER_ANSWER_MAX, 200,
		   "the answer is longer than 16777216 bytes");
}

static void test_largest_networks(void **state)
{
	struct bed *bed = *state;

	set_networks(bed, "[]", DOCKER_ANSWER_MAX - 2, 200);
	docker_fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_SEEN(bed, states, 1);
	assert_int_equal(bed->seen.lost, 0);
}

static void check_bad_stream(struct bed *bed, const char *text, const char *reason)
{
	docker_fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_SEEN(bed, states, 1);
	docker_fake_event(&bed->fake, text, 50000);
	WAIT_SEEN(bed, lost, 1);
	docker_seen_assert_reason(&bed->seen, reason);
	WAIT_SEEN(bed, states, 2);
	assert_int_equal(bed->fake.streams, 2);
}

static void test_malformed_event(void **state)
{
	check_bad_stream(*state, "{\"Type\":\"network\",,}\n",
			 "GET /events: not valid JSON at byte 19 of 20");
}

static void test_oversized_event(void **state)
{
	char *text = malloc(DOCKER_EVENT_MAX + 2);

	assert_non_null(text);
	memset(text, ' ', DOCKER_EVENT_MAX + 1);
	text[DOCKER_EVENT_MAX + 1] = '\0';
	check_bad_stream(*state, text, "an event is longer than 1048576 bytes");
	free(text);
}

static void test_ended_stream(void **state)
{
	struct bed *bed = *state;

	docker_fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_SEEN(bed, states, 1);
	set_networks(bed, ONE_NETWORK("missed"), 0, 200);
	docker_fake_end_stream(&bed->fake);
	WAIT_SEEN(bed, lost, 1);
	docker_seen_assert_reason(&bed->seen, "GET /events: the engine ended the stream");
	WAIT_SEEN(bed, states, 2);
	docker_seen_assert_text(&bed->seen, "missed");
	docker_fake_event(&bed->fake, "{\"Type\":", 100);
	docker_fake_hang_up(&bed->fake);
	WAIT_SEEN(bed, lost, 2);
	docker_seen_assert_reason(&bed->seen, "GET /events: ");
	WAIT_SEEN(bed, states, 3);
}

static void test_refused_events(void **state)
{
	struct bed *bed = *state;

	bed->fake.events_status = 403;
	docker_fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_SEEN(bed, lost, 1);
	docker_seen_assert_reason(&bed->seen, "GET /events: status 403: not today");
	assert_int_equal(bed->fake.fetches, 0);
}

/* There is no engine, then a first one, none again, and a second one. */
static void test_engine_comes_and_goes(void **state)
{
	struct bed *bed = *state;

	watch_start(bed);
	WAIT_SEEN(bed, lost, 1);
	docker_seen_assert_reason(&bed->seen,
				  "docker.sock: No such file or directory; start the engine");
	docker_fake_listen(&bed->fake);
	WAIT_SEEN(bed, states, 1);
	docker_fake_stop(&bed->fake);
	WAIT_SEEN(bed, lost, 2);
	set_networks(bed, ONE_NETWORK("second"), 0, 200);
	docker_fake_listen(&bed->fake);
	WAIT_SEEN(bed, states, 2);
	docker_seen_assert_text(&bed->seen, "second");
	assert_int_equal(bed->seen.back, 2);
	assert_int_equal(bed->seen.lost, 2);
}

/* The watcher must end at once, in any state. */
static void check_end(struct bed *bed)
{
	double before;

	pause_ms(30);
	before = seconds_now();
	docker_networks_free(bed->watch);
	bed->watch = NULL;
	assert_true(seconds_now() - before < 0.2);
}

static void test_end(void **state)
{
	struct bed *bed = *state;

	watch_start(bed); /* no engine: it waits to connect again */
	check_end(bed);
	docker_fake_listen(&bed->fake);
	watch_start(bed); /* idle */
	WAIT_SEEN(bed, states, 1);
	check_end(bed);
	bed->fake.stall_networks = true;
	watch_start(bed); /* reading */
	check_end(bed);
	bed->fake.stall_events = true;
	watch_start(bed); /* waiting for the event stream */
	check_end(bed);
	watch_start(bed); /* just started */
	docker_networks_free(bed->watch);
	bed->watch = NULL;
	docker_networks_free(NULL);
}

static void test_paths(void **state)
{
	struct bed *bed = *state;
	char url[128], longer[200];

	memset(longer, 'a', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(docker_networks_new("tcp://127.0.0.1:2375", &handler, NULL, &bed->watch),
			 -EINVAL);
	assert_int_equal(docker_networks_new(longer, &handler, NULL, &bed->watch), -ENAMETOOLONG);
	assert_null(bed->watch);
	(void)snprintf(url, sizeof(url), "unix://%s", bed->fake.path);
	docker_fake_listen(&bed->fake);
	/* A proxy in the environment must not be used. */
	assert_int_equal(setenv("http_proxy", "http://192.0.2.1:1", 1), 0);
	assert_int_equal(docker_networks_new(url, &handler, &bed->seen, &bed->watch), 0);
	WAIT_SEEN(bed, states, 1);
	assert_int_equal(unsetenv("http_proxy"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_state),
		TEST(test_resync),
		TEST(test_events_in_pieces),
		TEST(test_coalesced),
		TEST(test_late_effect),
		TEST(test_malformed_networks),
		TEST(test_empty_answer),
		TEST(test_refused_networks),
		TEST(test_oversized_networks),
		TEST(test_largest_networks),
		TEST(test_malformed_event),
		TEST(test_oversized_event),
		TEST(test_ended_stream),
		TEST(test_refused_events),
		TEST(test_engine_comes_and_goes),
		TEST(test_end),
		TEST(test_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
