// SPDX-License-Identifier: Apache-2.0
/* OTLP: the JSON of metrics and events, and what a collector that fails costs. */
#include <errno.h>
#include <jansson.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/util.h"
#include "metrics/otlp.h"
#include "metrics/otlp_json.h"
#include "support/own_netns.h"

static json_t *parse(char *text)
{
	json_error_t error;
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);

	if (!json)
		fail_msg("%s: %s", error.text, text);
	free(text);
	return json;
}

static struct event example(void)
{
	struct event event = event_of(EVENT_CONNECTION);

	event.time_us = 1796000096123456;
	event.end = EVENT_END_REFUSED;
	event.gateway_status = 403;
	event.text[EVENT_NAME] = "a.test";
	event.text[EVENT_REASON] = "gateway_refused";
	event.text[EVENT_MESSAGE] = "it said \"no\"";
	return event;
}

/* Returns the value of an attribute, or NULL. */
static const char *attribute(const json_t *object, const char *key)
{
	const json_t *entry;
	size_t i;

	json_array_foreach (json_object_get(object, "attributes"), i, entry)
		if (strcmp(json_string_value(json_object_get(entry, "key")), key) == 0)
			return json_string_value(
				json_object_get(json_object_get(entry, "value"), "stringValue"));
	return NULL;
}

static void test_metrics(void **state)
{
	const struct otlp_times times = {1, 18446744073709551615u};
	struct metrics_histogram histogram = {0};
	struct metrics_set set = {0};
	const json_t *metrics, *metric, *point;
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	json_t *json;

	(void)state;
	metrics_add(&set, METRICS_PACKETS, (const char *[]) {"a\"b", "7", "local"}, 12);
	metrics_add(&set, METRICS_PACKETS, (const char *[]) {NULL, NULL, "bridge"}, 1);
	metrics_add(&set, METRICS_CONNECTIONS_OPEN, NULL, 3);
	metrics_histogram_add(&histogram, 600);
	metrics_histogram_add(&histogram, 90000000);
	metrics_add_histogram(&set, METRICS_SYNC_LAG, &histogram);
	metrics_set_finish(&set);
	otlp_json_metrics(stream, &set, &times);
	metrics_set_clear(&set);
	assert_int_equal(fclose(stream), 0);
	json = parse(text);
	metrics = json_array_get(json_object_get(json, "resourceMetrics"), 0);
	assert_string_equal(attribute(json_object_get(metrics, "resource"), "service.name"),
			    "sidestep");
	metrics = json_array_get(json_object_get(metrics, "scopeMetrics"), 0);
	metrics = json_object_get(metrics, "metrics");
	assert_int_equal(json_array_size(metrics), 4);
	metric = json_array_get(metrics, 1);
	assert_string_equal(json_string_value(json_object_get(metric, "name")), "sidestep_packets");
	metric = json_object_get(metric, "sum");
	assert_true(json_is_true(json_object_get(metric, "isMonotonic")));
	assert_int_equal(json_integer_value(json_object_get(metric, "aggregationTemporality")), 2);
	assert_int_equal(json_array_size(json_object_get(metric, "dataPoints")), 2);
	point = json_array_get(json_object_get(metric, "dataPoints"), 0);
	assert_string_equal(attribute(point, "container"), "a\"b");
	assert_string_equal(json_string_value(json_object_get(point, "timeUnixNano")),
			    "18446744073709551615");
	assert_int_equal((int)json_number_value(json_object_get(point, "asDouble")), 12);
	metric = json_object_get(json_array_get(metrics, 2), "histogram");
	point = json_array_get(json_object_get(metric, "dataPoints"), 0);
	assert_int_equal(json_array_size(json_object_get(point, "bucketCounts")),
			 METRICS_BOUNDS + 1);
	assert_int_equal(json_array_size(json_object_get(point, "explicitBounds")), METRICS_BOUNDS);
	assert_string_equal(json_string_value(json_object_get(point, "count")), "2");
	json_decref(json);
}

static void test_events(void **state)
{
	const struct event event = example();
	const json_t *records, *record;
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	json_t *json, *body;

	(void)state;
	otlp_json_begin_logs(stream);
	otlp_json_event(stream, &event);
	(void)fputc(',', stream);
	otlp_json_event(stream, &event);
	otlp_json_end_logs(stream);
	assert_int_equal(fclose(stream), 0);
	json = parse(text);
	records = json_array_get(json_object_get(json, "resourceLogs"), 0);
	records = json_array_get(json_object_get(records, "scopeLogs"), 0);
	records = json_object_get(records, "logRecords");
	assert_int_equal(json_array_size(records), 2);
	record = json_array_get(records, 1);
	assert_string_equal(json_string_value(json_object_get(record, "timeUnixNano")),
			    "1796000096123456000");
	assert_string_equal(json_string_value(json_object_get(record, "severityText")), "WARN");
	assert_string_equal(attribute(record, "event.reason"), "gateway_refused");
	assert_string_equal(attribute(record, "gateway.status"), "403");
	assert_null(attribute(record, "container.name"));
	/* The body is the event as everywhere else. */
	body = json_loads(json_string_value(
				  json_object_get(json_object_get(record, "body"), "stringValue")),
			  0, NULL);
	assert_string_equal(json_string_value(json_object_get(body, "message")), "it said \"no\"");
	json_decref(body);
	json_decref(json);
}

static void collect(void *context, struct metrics_set *set)
{
	(void)context;
	metrics_add(set, METRICS_CONNECTIONS_OPEN, NULL, 1);
}

/* A listener on lo that the exporter dials. */
static int collector(struct otlp_config *config)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				      .sin_port = htons(4318)};
	static const int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	*config = (struct otlp_config) {.interval_ms = 60000, .collect = collect};
	assert_int_equal(otlp_url_parse("http://127.0.0.1:4318", &config->url), 0);
	return fd;
}

/* Takes a request, and answers it. Returns its text, which the caller frees. */
static char *serve(int listener, const char *answer)
{
	int fd = accept(listener, NULL, NULL);
	char *text = calloc(1, 65536), *body;
	size_t used = 0, length = SIZE_MAX;

	while (used < length) {
		ssize_t size = recv(fd, text + used, 65535 - used, 0);

		assert_true(size > 0);
		used += (size_t)size;
		body = strstr(text, "\r\n\r\n");
		if (body)
			length = (size_t)(body + 4 - text) +
				 strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10);
	}
	assert_int_equal(send(fd, answer, strlen(answer), 0), strlen(answer));
	(void)close(fd);
	return text;
}

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

static void *stop(void *otlp)
{
	otlp_stop(otlp);
	return NULL;
}

/* A collector that is busy gets the same events again, and one that refuses them does not. */
static void test_refusals(void **state)
{
	const struct event event = example();
	struct otlp_config config;
	struct event_sink sink;
	struct otlp *otlp;
	int fd = collector(&config);

	(void)state;
	assert_int_equal(otlp_new(&config, &otlp), 0);
	sink = otlp_sink(otlp);
	sink.take(sink.context, &event);
	assert_int_equal(otlp_start(otlp), 0);
	{
		_cleanup_free_ char *metrics = serve(fd, OK);
		_cleanup_free_ char *first = serve(fd, "HTTP/1.1 503 Busy\r\n\r\n");
		_cleanup_free_ char *second = serve(fd, "HTTP/1.1 400 Bad Request\r\n\r\n");

		assert_int_equal(strncmp(metrics, "POST /v1/metrics HTTP/1.1\r\n", 27), 0);
		assert_int_equal(strncmp(first, "POST /v1/logs HTTP/1.1\r\n", 24), 0);
		assert_string_equal(first, second);
	}
	/* The end sends the events that are left. */
	sink.take(sink.context, &event);
	{
		_cleanup_free_ char *last = NULL;
		pthread_t thread;

		otlp_end_metrics(otlp);
		assert_int_equal(pthread_create(&thread, NULL, stop, otlp), 0);
		last = serve(fd, OK);
		assert_int_equal(strncmp(last, "POST /v1/logs HTTP/1.1\r\n", 24), 0);
		(void)pthread_join(thread, NULL);
	}
	assert_int_equal(otlp_lost(otlp), 1);
	otlp_free(otlp);
	(void)close(fd);
}

/* Without a collector the buffer has a limit, and the end does not hang. */
static void test_no_collector(void **state)
{
	struct event event = example();
	struct otlp_config config;
	struct event_sink sink;
	struct otlp *otlp;
	unsigned int i;

	(void)state;
	(void)close(collector(&config));
	assert_int_equal(otlp_new(&config, &otlp), 0);
	sink = otlp_sink(otlp);
	for (i = 0; i < 10000; i++)
		sink.take(sink.context, &event);
	assert_in_range(otlp_lost(otlp), 1, 9999);
	assert_int_equal(otlp_start(otlp), 0);
	otlp_free(otlp);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_no_collector),
	};

	return cmocka_run_group_tests(tests, enter_own_netns, NULL);
}
