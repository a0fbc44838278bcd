// SPDX-License-Identifier: Apache-2.0
/* The events of the proxy's connections: each leaves one at its end, whatever the end is. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "events/events.h"
#include "lib/log.h"
#include "support/peer.h"
#include "support/proxy_bed.h"

#define WAIT_S	   8
#define EVENTS_MAX 16

struct bed {
	struct proxy_bed *proxy;
	struct events *events;
	pthread_mutex_t lock;
	pthread_cond_t news;
	size_t count, seen; /* events that have come, and that the test has looked at */
	char packed[EVENTS_MAX][EVENT_PACKED_MAX];
};

static void take(void *context, const struct event *event)
{
	struct bed *bed = context;

	(void)pthread_mutex_lock(&bed->lock);
	assert_true(bed->count < EVENTS_MAX);
	(void)event_pack(event, bed->packed[bed->count++], EVENT_PACKED_MAX);
	(void)pthread_cond_signal(&bed->news);
	(void)pthread_mutex_unlock(&bed->lock);
}

static struct bed *bed_new(const struct proxy_config *config)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	const struct events_config events_config = {.netns = 1};
	const struct event_sink sink = {.context = bed, .take = take};
	struct proxy_config own = *config;

	(void)pthread_mutex_init(&bed->lock, NULL);
	(void)pthread_cond_init(&bed->news, NULL);
	assert_int_equal(events_new(&events_config, &bed->events), 0);
	assert_int_equal(events_add_sink(bed->events, &sink), 0);
	assert_int_equal(events_start(bed->events), 0);
	own.events = bed->events;
	bed->proxy = proxy_bed_new(&own);
	return bed;
}

/* The test has seen all events. */
static void bed_free(struct bed *bed, int connections)
{
	proxy_bed_free(bed->proxy, connections);
	events_free(bed->events);
	assert_int_equal(bed->count, bed->seen);
	free(bed);
}

/* Waits for the next event. */
static struct event next(struct bed *bed)
{
	struct timespec limit;
	struct event event;

	(void)clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += WAIT_S;
	(void)pthread_mutex_lock(&bed->lock);
	while (bed->count == bed->seen)
		assert_int_equal(pthread_cond_timedwait(&bed->news, &bed->lock, &limit), 0);
	event_unpack(bed->packed[bed->seen++], &event);
	(void)pthread_mutex_unlock(&bed->lock);
	return event;
}

static struct event expect_end_of(struct bed *bed, enum event_end end, const char *reason)
{
	struct event event = next(bed);

	assert_int_equal(event.type, EVENT_CONNECTION);
	assert_string_equal(event.text[EVENT_REASON], reason);
	assert_int_equal(event.end, end);
	assert_int_equal(event.verdict, SIDESTEP_STEER_TCP);
	return event;
}

/* A failure's message is the log's, without how often it came. */
static void expect_message(const struct event *event, const char *part)
{
	assert_non_null(event->text[EVENT_MESSAGE]);
	if (!strstr(event->text[EVENT_MESSAGE], part))
		fail_msg("%s", event->text[EVENT_MESSAGE]);
	assert_null(strstr(event->text[EVENT_MESSAGE], "more like this"));
}

static void reset(int fd)
{
	static const struct linger linger = {.l_onoff = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	assert_int_equal(close(fd), 0);
}

static int open_tunnel(const struct bed *bed, int *ret_tunnel)
{
	int client = dial(bed->proxy);

	*ret_tunnel = tunnel_accept(bed->proxy, client, "");
	say(*ret_tunnel, "HTTP/1.1 200 OK\r\n\r\n");
	return client;
}

static void test_fin(void **state)
{
	struct bed *bed = bed_new(&proxy_bed_defaults);
	struct event event;
	int client, tunnel;

	(void)state;
	client = open_tunnel(bed, &tunnel);
	exchange(client, tunnel);
	event = expect_end_of(bed, EVENT_END_FIN, "relayed");
	assert_int_equal(event.bytes_sent, strlen("ask"));
	assert_int_equal(event.bytes_received, strlen("answerlate"));
	assert_int_equal(event.gateway_status, 200);
	assert_non_null(event.text[EVENT_GATEWAY]);
	assert_null(event.text[EVENT_MESSAGE]);
	assert_true(event.connect_us <= event.open_us);
	assert_true(event.open_us <= event.first_byte_us);
	assert_true(event.first_byte_us < 60000000);
	bed_free(bed, 1);
}

static void test_resets(void **state)
{
	struct bed *bed = bed_new(&proxy_bed_defaults);
	struct event event;
	int client, tunnel;

	(void)state;
	client = open_tunnel(bed, &tunnel);
	say(tunnel, "first");
	expect_bytes(client, "first");
	reset(client);
	expect_reset(tunnel);
	event = expect_end_of(bed, EVENT_END_RESET_BY_APPLICATION, "application_reset");
	assert_null(event.text[EVENT_MESSAGE]);
	client = open_tunnel(bed, &tunnel);
	say(client, "first");
	expect_bytes(tunnel, "first");
	reset(tunnel);
	expect_reset(client);
	event = expect_end_of(bed, EVENT_END_RESET_BY_GATEWAY, "gateway_reset");
	expect_message(&event, "its own log tells");
	/* The application gives up before the gateway has answered. */
	client = dial(bed->proxy);
	tunnel = tunnel_accept(bed->proxy, client, "");
	reset(client);
	event = expect_end_of(bed, EVENT_END_RESET_BY_APPLICATION, "application_reset");
	assert_int_equal(event.open_us, EVENT_NEVER);
	close(tunnel);
	bed_free(bed, 3);
}

static void fail_with(struct bed *bed, const char *answer, const char *reason, const char *message,
		      uint16_t status)
{
	int client = dial(bed->proxy), tunnel = tunnel_accept(bed->proxy, client, "");
	struct event event;

	say(tunnel, answer);
	close(tunnel);
	expect_reset(client);
	event = expect_end_of(bed, EVENT_END_REFUSED, reason);
	expect_message(&event, message);
	expect_message(&event, bed->proxy->destination);
	assert_int_equal(event.gateway_status, status);
	assert_int_equal(event.bytes_sent, 0);
}

/* More often than the log tells. */
static void test_gateway_failures(void **state)
{
	struct bed *bed = bed_new(&proxy_bed_defaults);
	struct event event;
	int i, client;

	(void)state;
	for (i = 0; i < 2; i++) {
		fail_with(bed, "HTTP/1.1 403 Forbidden\r\n\r\n", "gateway_refused", "status 403",
			  403);
		fail_with(bed, "SSH-2.0-x\r\n", "gateway_not_http", "is that an HTTP proxy?", 0);
		fail_with(bed, "", "gateway_hung_up", "connection closed", 0);
	}
	close(bed->proxy->gateway);
	bed->proxy->gateway = -1;
	client = dial(bed->proxy);
	expect_reset(client);
	event = expect_end_of(bed, EVENT_END_REFUSED, "gateway_unreachable");
	expect_message(&event, "is the gateway listening there");
	assert_int_equal(event.connect_us, EVENT_NEVER);
	bed_free(bed, 7);
}

static void test_slow_gateway(void **state)
{
	struct proxy_config config = proxy_bed_defaults;
	struct bed *bed;
	struct event event;
	int client, tunnel;

	(void)state;
	config.answer_ms = 20;
	bed = bed_new(&config);
	client = dial(bed->proxy);
	tunnel = tunnel_accept(bed->proxy, client, "");
	expect_reset(client);
	event = expect_end_of(bed, EVENT_END_TIMEOUT, "gateway_answer_timeout");
	expect_message(&event, "is it overloaded");
	close(tunnel);
	bed_free(bed, 1);
}

static void test_limit_and_stop(void **state)
{
	struct proxy_config config = proxy_bed_defaults;
	struct bed *bed;
	struct event event;
	int client, tunnel;

	(void)state;
	config.max_connections = 1;
	bed = bed_new(&config);
	client = open_tunnel(bed, &tunnel);
	expect_reset(dial(bed->proxy));
	event = expect_end_of(bed, EVENT_END_LIMIT, "connection_limit");
	expect_message(&event, "the limit of 1 connections is reached");
	proxy_stop(bed->proxy->proxy, 0);
	event = expect_end_of(bed, EVENT_END_PROXY_GONE, "proxy_stopped");
	expect_message(&event, "--drain");
	close(client);
	close(tunnel);
	bed_free(bed, 2);
}

static void test_open(void **state)
{
	struct bed *bed = bed_new(&proxy_bed_defaults);
	struct event open, end;
	int client, tunnel;

	(void)state;
	events_ask_open(bed->events, 1);
	client = open_tunnel(bed, &tunnel);
	open = next(bed);
	assert_int_equal(open.type, EVENT_OPEN);
	exchange(client, tunnel);
	end = expect_end_of(bed, EVENT_END_FIN, "relayed");
	assert_true(open.id == end.id && open.id > 0);
	assert_memory_equal(&open.source, &end.source, sizeof(end.source));
	events_ask_open(bed->events, -1);
	bed_free(bed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fin),
		cmocka_unit_test(test_resets),
		cmocka_unit_test(test_gateway_failures),
		cmocka_unit_test(test_slow_gateway),
		cmocka_unit_test(test_limit_and_stop),
		cmocka_unit_test(test_open),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
