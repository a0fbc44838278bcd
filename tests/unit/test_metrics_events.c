// SPDX-License-Identifier: Apache-2.0
/* Events as metrics: outcomes, histograms, DNS answers and the busiest hosts, all within limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/util.h"
#include "metrics/metrics_containers.h"
#include "metrics/metrics_events.h"
#include "metrics/metrics_hosts.h"
#include "metrics/metrics_text.h"

static struct event connection(enum event_end end, uint16_t status, const char *reason)
{
	struct event event = event_of(EVENT_CONNECTION);

	event.end = (uint8_t)end;
	event.gateway_status = status;
	event.text[EVENT_REASON] = reason;
	event.connect_us = event.open_us = event.first_byte_us = EVENT_NEVER;
	return event;
}

/* The caller frees the text. */
static char *collect(struct metrics_events *sums)
{
	struct metrics_set set = {0};
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	metrics_events_collect(sums, &set);
	metrics_set_finish(&set);
	metrics_text_print(stream, &set, METRICS_TEXT);
	metrics_set_clear(&set);
	assert_int_equal(fclose(stream), 0);
	return text;
}

static void test_outcomes(void **state)
{
	struct event event = connection(EVENT_END_FIN, 200, "relayed");
	_cleanup_free_ char *text = NULL;
	struct metrics_events *sums;
	struct event_sink sink;

	(void)state;
	assert_int_equal(metrics_events_new(0, 0, &sums), 0);
	sink = metrics_events_sink(sums);
	event.connect_us = 400;
	event.first_byte_us = 3000000;
	event.text[EVENT_NAME] = "secret.test";
	sink.take(sink.context, &event);
	sink.take(sink.context, &event);
	event = connection(EVENT_END_REFUSED, 403, "gateway_refused");
	sink.take(sink.context, &event);
	event = connection(EVENT_END_TIMEOUT, 0, "gateway_connect_timeout");
	sink.take(sink.context, &event);
	event = event_of(EVENT_OPEN);
	sink.take(sink.context, &event);
	text = collect(sums);
	assert_non_null(strstr(text,
			       "sidestep_connections_total{end=\"fin\",gateway_status=\"200\","
			       "reason=\"relayed\"} 2\n"));
	assert_non_null(strstr(text, "{end=\"refused\",gateway_status=\"403\","
				     "reason=\"gateway_refused\"} 1\n"));
	assert_non_null(strstr(text, "{end=\"timeout\",gateway_status=\"none\","
				     "reason=\"gateway_connect_timeout\"} 1\n"));
	assert_non_null(strstr(text, "sidestep_connect_seconds_bucket{le=\"0.0005\"} 2\n"));
	assert_non_null(strstr(text, "sidestep_first_byte_seconds_bucket{le=\"1.0\"} 0\n"));
	assert_non_null(strstr(text, "sidestep_first_byte_seconds_count 2\n"));
	assert_non_null(strstr(text, "sidestep_gateway_answer_seconds_count 0\n"));
	/* No host is a label unless that was asked for. */
	assert_null(strstr(text, "secret"));
	metrics_events_free(sums);
}

static void test_dns(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct metrics_events *sums;
	struct event event = event_of(EVENT_DNS);
	struct event_sink sink;

	(void)state;
	assert_int_equal(metrics_events_new(0, 0, &sums), 0);
	sink = metrics_events_sink(sums);
	event.text[EVENT_REASON] = "dns_made_up";
	sink.take(sink.context, &event);
	event.text[EVENT_REASON] = "dns_name_denied";
	event.rcode = 3;
	sink.take(sink.context, &event);
	event.rcode = 9;
	sink.take(sink.context, &event);
	text = collect(sums);
	assert_non_null(strstr(text, "{rcode=\"noerror\",made_up=\"true\"} 1\n"));
	assert_non_null(strstr(text, "{rcode=\"nxdomain\",made_up=\"false\"} 1\n"));
	assert_non_null(strstr(text, "{rcode=\"9\",made_up=\"false\"} 1\n"));
	metrics_events_free(sums);
}

/* A gateway that answers with ever new statuses fills no memory, and nothing goes uncounted. */
static void test_outcomes_are_limited(void **state)
{
	struct metrics_events *sums;
	struct metrics_set set = {0};
	struct event_sink sink;
	double total = 0;
	unsigned int i, series = 0;

	(void)state;
	assert_int_equal(metrics_events_new(0, 0, &sums), 0);
	sink = metrics_events_sink(sums);
	for (i = 0; i < 3000; i++) {
		struct event event = connection(i % 2 ? EVENT_END_FIN : EVENT_END_REFUSED,
						(uint16_t)(i + 100), "gateway_refused");

		sink.take(sink.context, &event);
	}
	metrics_events_collect(sums, &set);
	for (i = 0; i < set.count; i++) {
		if (set.samples[i].name != METRICS_CONNECTIONS)
			continue;
		series++;
		total += set.samples[i].value;
	}
	assert_in_range(series, METRICS_OUTCOMES_MAX, METRICS_OUTCOMES_MAX + EVENT_ENDS);
	assert_int_equal((int)total, 3000);
	metrics_set_clear(&set);
	metrics_events_free(sums);
}

/* Returns the sum of a family's values. */
static double sum_of(const struct metrics_set *set, enum metrics_name name,
		     unsigned int *ret_series)
{
	double sum = 0;
	size_t i;

	*ret_series = 0;
	for (i = 0; i < set->count; i++) {
		if (set->samples[i].name != name)
			continue;
		(*ret_series)++;
		sum += set->samples[i].value;
	}
	return sum;
}

/* A sidecar that says anything neither takes others' room nor makes a sum wrong. */
static void test_hostile_sidecar(void **state)
{
	struct event event;
	struct metrics_events *sums;
	struct metrics_set set = {0};
	struct event_sink sink;
	unsigned int i, series;

	(void)state;
	assert_int_equal(metrics_events_new(5, METRICS_CONTAINERS_MAX, &sums), 0);
	sink = metrics_events_sink(sums);
	for (i = 0; i < 2000; i++) {
		char reason[64];

		(void)snprintf(reason, sizeof(reason), i % 3 ? "other" : "made_up_%u%s", i,
			       i % 2 ? "\"\xff" : "");
		event = connection((enum event_end)(i % EVENT_ENDS), (uint16_t)(65535 - i), reason);
		event.netns = 7;
		event.bytes_sent = UINT64_MAX;
		event.duration_ms = UINT64_MAX;
		event.text[EVENT_NAME] = "\xff\"{}";
		sink.take(sink.context, &event);
	}
	event = connection(EVENT_END_REFUSED, 403, "gateway_refused");
	event.netns = 8;
	event.bytes_sent = 12;
	sink.take(sink.context, &event);
	metrics_events_collect_totals(sums, &set);
	metrics_events_collect(sums, &set);
	metrics_events_collect_container(sums, 7, "hostile", &set);
	metrics_events_collect_container(sums, 8, "honest", &set);
	metrics_events_end_containers(sums);
	assert_int_equal((int)sum_of(&set, METRICS_CONNECTIONS, &series), 2001);
	assert_in_range(series, 2, METRICS_CONTAINER_OUTCOMES + EVENT_ENDS + 1);
	assert_int_equal((int)sum_of(&set, METRICS_CONNECTIONS_ACCEPTED, &series), 2001);
	assert_int_equal((int)sum_of(&set, METRICS_GATEWAY_REFUSALS, &series), 1);
	/* The name is none. */
	assert_int_equal((int)sum_of(&set, METRICS_HOST_CONNECTIONS, &series), 2001);
	assert_int_equal(series, 1);
	assert_true(sum_of(&set, METRICS_CONTAINER_SENT_BYTES, &series) < 1e17);
	assert_int_equal(series, 2);
	metrics_set_clear(&set);
	metrics_events_free(sums);
}

/* There are no more containers than places, and one that is gone makes room. */
static void test_containers_are_limited(void **state)
{
	struct event event = connection(EVENT_END_FIN, 200, "relayed");
	struct metrics_events *sums;
	struct metrics_set set = {0};
	struct event_sink sink;
	unsigned int series;

	(void)state;
	assert_int_equal(metrics_events_new(0, 2, &sums), 0);
	sink = metrics_events_sink(sums);
	for (event.netns = 1; event.netns <= 3; event.netns++)
		sink.take(sink.context, &event);
	metrics_events_collect_container(sums, 2, "second", &set);
	metrics_events_collect_container(sums, 3, "third", &set);
	metrics_events_end_containers(sums);
	assert_int_equal((int)sum_of(&set, METRICS_CONTAINER_CONNECTIONS, &series), 1);
	assert_int_equal(series, 1);
	metrics_set_clear(&set);
	event.netns = 3;
	sink.take(sink.context, &event);
	metrics_events_collect_container(sums, 3, "third", &set);
	metrics_events_collect(sums, &set);
	assert_int_equal((int)sum_of(&set, METRICS_CONTAINER_CONNECTIONS, &series), 1);
	assert_int_equal((int)sum_of(&set, METRICS_CONNECTIONS, &series), 4);
	metrics_set_clear(&set);
	metrics_events_free(sums);
}

struct seen {
	char names[256];
	uint64_t connections, others;
	unsigned int count;
};

static void see(void *context, const char *name, const struct metrics_traffic *traffic)
{
	struct seen *seen = context;

	(void)strcat(strcat(seen->names, name), " ");
	seen->count++;
	seen->connections += traffic->connections;
	if (strcmp(name, "other") == 0)
		seen->others = traffic->connections;
}

static void add(struct metrics_hosts *hosts, const char *name, unsigned int times)
{
	for (; times > 0; times--)
		metrics_hosts_add(hosts, name, 10, 20);
}

static void test_hosts(void **state)
{
	struct metrics_hosts hosts = {0};
	struct seen seen = {0};

	(void)state;
	assert_int_equal(metrics_hosts_init(&hosts, 2), 0);
	add(&hosts, "a.test", 3);
	add(&hosts, "b.test", 5);
	add(&hosts, "B.test", 1);
	add(&hosts, "c.test", 1);
	add(&hosts, NULL, 7);
	metrics_hosts_each(&hosts, see, &seen);
	assert_string_equal(seen.names, "b.test a.test other ");
	/* Until now none was shown. */
	assert_int_equal(seen.others, 17);
	add(&hosts, "b.test", 2);
	add(&hosts, "c.test", 1);
	seen = (struct seen) {0};
	metrics_hosts_each(&hosts, see, &seen);
	assert_int_equal(seen.others, 18);
	assert_int_equal(seen.connections, 20);
	metrics_hosts_release(&hosts);
}

/* Ever new names push no busy one out, and the sum of the others never falls. */
static void test_hosts_are_limited(void **state)
{
	struct metrics_hosts hosts = {0};
	uint64_t former = 0;
	unsigned int i;

	(void)state;
	assert_int_equal(metrics_hosts_init(&hosts, 3), 0);
	for (i = 0; i < 5000; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "host%u.test", i);
		add(&hosts, name, 1);
		add(&hosts, "busy.test", 1);
		if (i % 100 == 0) {
			struct seen seen = {0};

			metrics_hosts_each(&hosts, see, &seen);
			assert_in_range(seen.count, 1, 4);
			assert_non_null(strstr(seen.names, "busy.test"));
			assert_true(seen.others >= former);
			former = seen.others;
		}
	}
	metrics_hosts_release(&hosts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_dns),
		cmocka_unit_test(test_outcomes_are_limited),
		cmocka_unit_test(test_hostile_sidecar),
		cmocka_unit_test(test_containers_are_limited),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_hosts_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
