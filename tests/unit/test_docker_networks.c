// SPDX-License-Identifier: Apache-2.0
/* The watcher against a scripted engine: what a real one cannot be made to show. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "docker/docker_networks.h"
#include "docker_fake.h"

#define ONE_NETWORK(name)                                                                          \
	"[{\"Name\":\"" name "\",\"Id\":\"" name "\",\"Scope\":\"local\",\"Driver\":\"bridge\","   \
	"\"IPAM\":{\"Config\":[{\"Subnet\":\"172.18.0.0/16\"}]}}]"
#define CREATE_EVENT                                                                               \
	"{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":\"\\u00e9\"}}\n"
#define CONNECT_EVENT "{\"Type\":\"network\",\"Action\":\"connect\"}\n"
#define OTHER_EVENT   "{\"Type\":\"container\",\"Action\":\"exec_start: true\"}\n"

/* What the handler was told. */
struct seen {
	pthread_mutex_t lock;
	pthread_cond_t news;
	unsigned int snapshots;
	unsigned int lost;
	unsigned int back;
	char name[64]; /* of the last snapshot's first network */
	char reason[256];
};

struct bed {
	struct fake fake;
	struct seen seen;
	struct docker_networks *watch;
};

static void on_networks(const struct docker_network *networks, size_t count, void *context)
{
	struct seen *seen = context;

	(void)pthread_mutex_lock(&seen->lock);
	seen->snapshots++;
	(void)snprintf(seen->name, sizeof(seen->name), "%s", count ? networks[0].name : "");
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

static const struct docker_networks_handler handler = {.networks = on_networks,
						       .connected = on_connected};

#define WAIT_FOR(bed, counter, wanted)                                                             \
	do {                                                                                       \
		struct seen *seen = &(bed)->seen;                                                  \
                                                                                                   \
		if (!fake_wait(&seen->lock, &seen->news, &seen->counter, wanted))                  \
			fail_msg("waited for %u " #counter, (unsigned int)(wanted));               \
	} while (0)

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
	(void)pthread_mutex_init(&bed->seen.lock, NULL);
	(void)pthread_cond_init(&bed->seen.news, NULL);
	fake_prepare(&bed->fake);
	bed->fake.networks = ONE_NETWORK("first");
	*state = bed;
	return 0;
}

static int bed_teardown(void **state)
{
	struct bed *bed = *state;

	docker_networks_free(bed->watch);
	fake_release(&bed->fake);
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

static void assert_reason(struct bed *bed, const char *part)
{
	char reason[256];

	(void)pthread_mutex_lock(&bed->seen.lock);
	memcpy(reason, bed->seen.reason, sizeof(reason));
	(void)pthread_mutex_unlock(&bed->seen.lock);
	if (!strstr(reason, part))
		fail_msg("'%s' is not in '%s'", part, reason);
}

static void test_first_snapshot(void **state)
{
	struct bed *bed = *state;

	fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_FOR(bed, snapshots, 1);
	assert_int_equal(bed->seen.back, 1);
	assert_int_equal(bed->seen.lost, 0);
	assert_string_equal(bed->seen.name, "first");
	assert_non_null(strstr(bed->fake.events_request, "GET /events?since="));
	assert_non_null(strstr(bed->fake.events_request, "filters=%7B%22type%22%3A%5B%22network"));
}

static void test_events_in_pieces(void **state)
{
	struct bed *bed = *state;
	size_t piece, i;

	fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_FOR(bed, snapshots, 1);
	for (piece = 1; piece <= strlen(CREATE_EVENT); piece++) {
		fake_event(&bed->fake, CREATE_EVENT, piece);
		WAIT_FOR(bed, snapshots, 1 + (unsigned int)piece);
	}
	/* Once more would be one read per piece and not per event. */
	pause_ms(50);
	assert_int_equal(bed->fake.fetches, piece);
	for (i = 0; i < 50; i++)
		fake_event(&bed->fake, OTHER_EVENT, 7);
	pause_ms(50);
	assert_int_equal(bed->fake.fetches, piece);
	assert_int_equal(bed->seen.lost, 0);
}

/* An engine tells of a connection before it shows it. */
static void test_late_effect(void **state)
{
	struct bed *bed = *state;

	fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_FOR(bed, snapshots, 1);
	fake_event(&bed->fake, CONNECT_EVENT, 100);
	WAIT_FOR(bed, snapshots, 2);
	set_networks(bed, ONE_NETWORK("late"), 0, 200);
	WAIT_FOR(bed, snapshots, 3);
	assert_string_equal(bed->seen.name, "late");
}

static void test_coalesced(void **state)
{
	struct bed *bed = *state;
	char *many = calloc(1001, strlen(CREATE_EVENT));
	size_t i;

	assert_non_null(many);
	for (i = 0; i < 1000; i++)
		memcpy(many + i * strlen(CREATE_EVENT), CREATE_EVENT, strlen(CREATE_EVENT));
	fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_FOR(bed, snapshots, 1);
	set_networks(bed, ONE_NETWORK("second"), 0, 200);
	fake_event(&bed->fake, many, 1000 * strlen(CREATE_EVENT));
	WAIT_FOR(bed, snapshots, 2);
	pause_ms(100);
	assert_string_equal(bed->seen.name, "second");
	/* The 60 KB arrive in a few reads of at most 16 KB. */
	assert_true(bed->fake.fetches >= 2 && bed->fake.fetches <= 8);
	free(many);
}

/* What the engine does next, the loss that it must cause, and that the old state stays until a
 * good answer comes. */
static void check_loss(struct bed *bed, const char *body, size_t filler, int status,
		       const char *reason)
{
	fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_FOR(bed, snapshots, 1);
	set_networks(bed, body, filler, status);
	fake_event(&bed->fake, CREATE_EVENT, 100);
	WAIT_FOR(bed, lost, 1);
	assert_reason(bed, reason);
	assert_int_equal(bed->seen.snapshots, 1);
	assert_string_equal(bed->seen.name, "first");
	set_networks(bed, ONE_NETWORK("later"), 0, 200);
	WAIT_FOR(bed, snapshots, 2);
	assert_string_equal(bed->seen.name, "later");
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
	fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_FOR(bed, snapshots, 1);
	assert_int_equal(bed->seen.lost, 0);
}

static void check_bad_stream(struct bed *bed, const char *text, const char *reason)
{
	fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_FOR(bed, snapshots, 1);
	fake_event(&bed->fake, text, 50000);
	WAIT_FOR(bed, lost, 1);
	assert_reason(bed, reason);
	WAIT_FOR(bed, snapshots, 2);
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

	fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_FOR(bed, snapshots, 1);
	set_networks(bed, ONE_NETWORK("missed"), 0, 200);
	/* The chunk of length 0 that ends an answer in order, and then without. */
	(void)pthread_mutex_lock(&bed->fake.lock);
	(void)fake_send(bed->fake.stream, "0\r\n\r\n", 5);
	(void)pthread_mutex_unlock(&bed->fake.lock);
	WAIT_FOR(bed, lost, 1);
	assert_reason(bed, "GET /events: the engine ended the stream");
	WAIT_FOR(bed, snapshots, 2);
	assert_string_equal(bed->seen.name, "missed");
	fake_event(&bed->fake, "{\"Type\":", 100);
	fake_hang_up(&bed->fake);
	WAIT_FOR(bed, lost, 2);
	assert_reason(bed, "GET /events: ");
	WAIT_FOR(bed, snapshots, 3);
}

static void test_refused_events(void **state)
{
	struct bed *bed = *state;

	bed->fake.events_status = 403;
	fake_listen(&bed->fake);
	watch_start(bed);
	WAIT_FOR(bed, lost, 1);
	assert_reason(bed, "GET /events: status 403: not today");
	assert_int_equal(bed->fake.fetches, 0);
}

/* No engine, a first engine, none again, a second one. */
static void test_engine_comes_and_goes(void **state)
{
	struct bed *bed = *state;

	watch_start(bed);
	WAIT_FOR(bed, lost, 1);
	assert_reason(bed, "docker.sock: No such file or directory; start the engine");
	fake_listen(&bed->fake);
	WAIT_FOR(bed, snapshots, 1);
	fake_stop(&bed->fake);
	WAIT_FOR(bed, lost, 2);
	set_networks(bed, ONE_NETWORK("second"), 0, 200);
	fake_listen(&bed->fake);
	WAIT_FOR(bed, snapshots, 2);
	assert_string_equal(bed->seen.name, "second");
	assert_int_equal(bed->seen.back, 2);
	assert_int_equal(bed->seen.lost, 2);
}

/* In whatever state it is found, the end must come at once. */
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

	watch_start(bed); /* nobody there: waiting to connect again */
	check_end(bed);
	fake_listen(&bed->fake);
	watch_start(bed); /* idle */
	WAIT_FOR(bed, snapshots, 1);
	check_end(bed);
	bed->fake.stall_networks = true;
	watch_start(bed); /* in the middle of reading */
	check_end(bed);
	bed->fake.stall_events = true;
	watch_start(bed); /* not yet answered */
	check_end(bed);
	watch_start(bed); /* hardly begun */
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
	fake_listen(&bed->fake);
	/* A proxy of the environment must not come between. */
	assert_int_equal(setenv("http_proxy", "http://192.0.2.1:1", 1), 0);
	assert_int_equal(docker_networks_new(url, &handler, &bed->seen, &bed->watch), 0);
	WAIT_FOR(bed, snapshots, 1);
	assert_int_equal(unsetenv("http_proxy"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_snapshot),
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
