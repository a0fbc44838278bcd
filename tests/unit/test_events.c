// SPDX-License-Identifier: Apache-2.0
/* Events: their JSON against a library, their packed form, and the queue that leads to the sinks.
 */
#include <jansson.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "events/event_json.h"
#include "events/event_labels.h"
#include "events/event_ring.h"
#include "events/events.h"
#include "lib/address.h"
#include "lib/util.h"

static struct event example(void)
{
	struct event event = event_of(EVENT_CONNECTION);
	struct endpoint endpoint;

	event.time_us = 1796000096123456;
	event.id = 18446744073709551615u;
	event.netns = 4321;
	event.protocol = IPPROTO_TCP;
	event.verdict = SIDESTEP_STEER_TCP;
	event.has_ports = true;
	assert_int_equal(endpoint_parse("172.17.0.2:40000", &endpoint), 0);
	event_set_endpoint(&event.source, (struct sockaddr *)&endpoint.address);
	assert_int_equal(endpoint_parse("[2001:db8::1]:443", &endpoint), 0);
	event_set_endpoint(&event.destination, (struct sockaddr *)&endpoint.address);
	event.end = EVENT_END_FIN;
	event.bytes_sent = 7;
	event.connect_us = 0;
	event.text[EVENT_NAME] = "a.test";
	event.name_source = EVENT_SOURCE_SNI;
	event.text[EVENT_REASON] = "relayed";
	return event;
}

static json_t *encode(const struct event *event)
{
	static char line[EVENT_JSON_MAX];
	size_t size = event_json_write(event, line);
	json_error_t error;
	json_t *json;

	assert_true(size > 0 && line[size - 1] == '\n');
	assert_null(memchr(line, '\n', size - 1));
	json = json_loadb(line, size, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		fail_msg("%s: %.*s", error.text, (int)size, line);
	return json;
}

static const char *string_of(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	assert_non_null(text);
	return text;
}

static void test_connection(void **state)
{
	struct event event = example();
	json_t *json = encode(&event);

	(void)state;
	assert_string_equal(string_of(json, "type"), "connection");
	assert_string_equal(string_of(json, "time"), "2026-11-30T00:54:56.123456Z");
	assert_string_equal(string_of(json, "id"), "4321-18446744073709551615");
	assert_string_equal(string_of(json, "src"), "172.17.0.2:40000");
	assert_string_equal(string_of(json, "dst"), "[2001:db8::1]:443");
	assert_string_equal(string_of(json, "verdict"), "steer_tcp");
	assert_string_equal(string_of(json, "end"), "fin");
	assert_int_equal(json_integer_value(json_object_get(json, "connect_us")), 0);
	assert_true(json_is_integer(json_object_get(json, "connect_us")));
	assert_true(json_is_null(json_object_get(json, "open_us")));
	assert_true(json_is_null(json_object_get(json, "container")));
	assert_true(json_is_null(json_object_get(json, "process")));
	assert_true(json_is_false(json_object_get(json, "intercepted")));
	json_decref(json);
}

/* Every type, and every text in it. All have the same keys. */
static void test_types(void **state)
{
	static const char *const protocols[] = {"tcp", "udp", "icmp", "ipv6-icmp", "47"};
	static const uint8_t numbers[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6,
					  IPPROTO_GRE};
	struct event event = example();
	size_t i, keys;
	json_t *json;

	(void)state;
	json = encode(&event);
	keys = json_object_size(json);
	json_decref(json);
	for (i = 0; i < EVENT_TYPES; i++) {
		event.type = (uint8_t)i;
		event.protocol = numbers[i];
		event.has_ports = i < 2;
		event.pid = 77;
		event.count = 3;
		event.text[EVENT_COMM] = "curl";
		event.text[EVENT_CONTAINER_ID] = "abc";
		event.text[EVENT_CONTAINER_LABELS] = "{\"a\":\"b\"}";
		event.text[EVENT_RULE_ENTRY] = "10.0.0.0/8";
		event.text[EVENT_ANSWERS] = "11.0.0.1 fd00::1";
		event.query_type = 64000;
		event.rcode = 3;
		json = encode(&event);
		assert_int_equal(json_object_size(json), keys);
		assert_string_equal(string_of(json, "type"), event_type_names[i]);
		assert_string_equal(string_of(json_object_get(json_object_get(json, "container"),
							      "labels"),
					      "a"),
				    "b");
		if (i != EVENT_LOST)
			assert_string_equal(string_of(json, "protocol"), protocols[i]);
		if (i == EVENT_DENIED)
			assert_string_equal(string_of(json, "src"), "172.17.0.2");
		if (i == EVENT_DNS) {
			json_t *query = json_object_get(json, "query");

			assert_string_equal(string_of(query, "type"), "TYPE64000");
			assert_string_equal(string_of(query, "rcode"), "NXDOMAIN");
			assert_int_equal(json_array_size(json_object_get(query, "answers")), 2);
		}
		json_decref(json);
	}
}

/* A question that cannot be read is null, and each code has its name. */
static void test_query(void **state)
{
	struct event event = event_of(EVENT_DNS);
	json_t *json, *query;

	(void)state;
	event.rcode = 1;
	json = encode(&event);
	query = json_object_get(json, "query");
	assert_true(json_is_null(json_object_get(query, "name")));
	assert_true(json_is_null(json_object_get(query, "type")));
	assert_string_equal(string_of(query, "rcode"), "FORMERR");
	json_decref(json);
	event.text[EVENT_NAME] = "a.example";
	event.query_type = 28;
	event.rcode = 16;
	json = encode(&event);
	query = json_object_get(json, "query");
	assert_string_equal(string_of(query, "type"), "AAAA");
	assert_string_equal(string_of(query, "rcode"), "BADVERS");
	json_decref(json);
}

/* Times against the C library's calendar, around leap days and ends of years. */
static void test_times(void **state)
{
	struct event event = example();
	uint64_t day;

	(void)state;
	for (day = 0; day < 150 * 366; day++) {
		time_t second = (time_t)(day * 86400 + day % 86400);
		char wanted[40];
		struct tm parts;
		json_t *json;

		event.time_us = (uint64_t)second * 1000000;
		json = encode(&event);
		assert_non_null(gmtime_r(&second, &parts));
		assert_true(strftime(wanted, sizeof(wanted), "%Y-%m-%dT%H:%M:%S.000000Z", &parts));
		assert_string_equal(string_of(json, "time"), wanted);
		json_decref(json);
	}
}

/* Random bytes as text. UTF-8 comes back, and the rest still makes a document. */
static void test_hostile_texts(void **state)
{
	static const char good[] = "\x01\x1f\"\\/\x7f \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80";
	struct event event = example();
	char text[EVENT_TEXT_MAX + 1];
	unsigned int seed = 1, i, j;
	json_t *json;

	(void)state;
	event.text[EVENT_MESSAGE] = good;
	json = encode(&event);
	assert_string_equal(string_of(json, "message"), good);
	json_decref(json);
	event.text[EVENT_MESSAGE] = "\xc3\xa4\xc0\x80\xed\xa0\x80\xff|";
	json = encode(&event);
	assert_string_equal(string_of(json, "message"),
			    "\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
			    "\xef\xbf\xbd|");
	json_decref(json);
	for (i = 0; i < 2000; i++) {
		for (j = 0; j < sizeof(text) - 1; j++)
			text[j] = (char)(1 + rand_r(&seed) % 255);
		text[j] = '\0';
		for (j = 0; j < EVENT_TEXTS; j++)
			event.text[j] = j == EVENT_CONTAINER_LABELS ? "{}" : text;
		event.type = (uint8_t)(i % EVENT_TYPES);
		json_decref(encode(&event));
	}
	/* Nothing gets out of the list of answers. */
	event = example();
	event.type = EVENT_DNS;
	event.text[EVENT_ANSWERS] = "11.0.0.1 \"]},\"container\":{\"id\":\"other\"},\"x\":[\"\n";
	json = encode(&event);
	assert_true(json_is_null(json_object_get(json, "container")));
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(json, "query"), "answers")), 2);
	json_decref(json);
}

static void test_packed(void **state)
{
	static char packed[EVENT_PACKED_MAX], longest[2 * EVENT_TEXT_MAX];
	struct event event = example(), unpacked;
	size_t size = event_pack(&event, packed, sizeof(packed));

	(void)state;
	assert_true(size < 256);
	assert_int_equal(event_pack(&event, packed, size), size);
	assert_int_equal(event_pack(&event, packed, size - 1), 0);
	assert_int_equal(event_pack(&event, packed, 8), 0);
	assert_int_equal(event_pack(&event, packed, size), size);
	event_unpack(packed, &unpacked);
	assert_memory_equal(&event, &unpacked, offsetof(struct event, text));
	assert_string_equal(unpacked.text[EVENT_NAME], "a.test");
	assert_null(unpacked.text[EVENT_MESSAGE]);
	memset(longest, 'x', sizeof(longest) - 1);
	event.text[EVENT_MESSAGE] = longest;
	event.text[EVENT_CONTAINER_LABELS] = "{}";
	event.text[EVENT_GATEWAY] = "";
	size = event_pack(&event, packed, sizeof(packed));
	event_unpack(packed, &unpacked);
	assert_int_equal(strlen(unpacked.text[EVENT_MESSAGE]), EVENT_TEXT_MAX);
	assert_null(unpacked.text[EVENT_CONTAINER_LABELS]);
	assert_null(unpacked.text[EVENT_GATEWAY]);
}

/* The events' thread tells who opened the flow. Nobody else's word counts. */
static void test_packed_opener(void **state)
{
	static char packed[EVENT_PACKED_MAX];
	struct event event = example(), unpacked;
	size_t size;

	(void)state;
	event.opener = (struct sidestep_process) {.cookie = 9, .pid = 1234, .comm = "curl"};
	size = event_pack(&event, packed, sizeof(packed));
	event_unpack(packed, &unpacked);
	assert_memory_equal(&event.opener, &unpacked.opener, sizeof(event.opener));
	assert_string_equal(unpacked.text[EVENT_NAME], "a.test");
	assert_false(event_unpack_checked(packed, size, &unpacked));
	event.opener.cookie = 0;
	assert_int_equal(event_pack(&event, packed, sizeof(packed)), size - sizeof(event.opener));
	assert_true(event_unpack_checked(packed, size - sizeof(event.opener), &unpacked));
	assert_int_equal(unpacked.opener.cookie, 0);
}

struct collector {
	uint64_t events, lost, resolved, flushes, last_id;
};

static void collect(void *context, const struct event *event)
{
	struct collector *collector = context;

	if (event->type == EVENT_LOST) {
		collector->lost += event->count;
		return;
	}
	assert_string_equal(event->text[EVENT_NAME], "a.test");
	assert_int_equal(event->netns, 9);
	assert_true(event->time_us > 0);
	collector->resolved += event->pid == 5;
	collector->last_id = event->id;
	collector->events++;
}

static void flushed(void *context)
{
	((struct collector *)context)->flushes++;
}

static void resolve(void *context, struct event *event)
{
	(void)context;
	event->pid = 5;
}

static void *produce(void *context)
{
	struct event event;
	int i;

	for (i = 0; i < 5000; i++) {
		event = example();
		event.id = event.netns = event.time_us = 0;
		events_put(context, &event);
	}
	return NULL;
}

static struct events *events_with(struct collector *collector)
{
	const struct events_config config = {.netns = 9, .resolve = resolve};
	const struct event_sink sink = {.context = collector, .take = collect, .flush = flushed};
	struct events *events;

	assert_int_equal(events_new(&config, &events), 0);
	assert_int_equal(events_add_sink(events, &sink), 0);
	return events;
}

/* Several threads at once: each event comes once, and the end waits for the last one. */
static void test_sinks(void **state)
{
	struct collector collector = {0};
	struct events *events = events_with(&collector);
	struct events_counters counters;
	pthread_t threads[4];
	uint64_t id;
	size_t i;

	(void)state;
	id = events_new_id(events);
	assert_int_equal(events_find_id(events, (uint32_t)id), id);
	assert_int_equal(events_start(events), 0);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, produce, events), 0);
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	events_counters(events, &counters);
	assert_int_equal(counters.taken + counters.lost, 20000);
	events_free(events);
	assert_int_equal(collector.events, counters.taken);
	assert_int_equal(collector.lost, counters.lost);
	assert_int_equal(collector.resolved, collector.events);
	assert_true(collector.flushes > 0);
}

/* A queue that nobody empties takes what it has room for, and counts the rest. */
static void test_full(void **state)
{
	struct collector collector = {0};
	struct events *events = events_with(&collector);
	struct events_counters counters;
	int i;

	(void)state;
	for (i = 0; i < 4; i++)
		(void)produce(events);
	events_counters(events, &counters);
	assert_true(counters.taken > 8000 && counters.lost > 0);
	assert_int_equal(events_start(events), 0);
	events_free(events);
	assert_int_equal(collector.events, counters.taken);
	assert_int_equal(collector.lost, counters.lost);
}

/* Cursors around the ring, of a quick and a slow reader. Sizes differ, so that its end is met at
 * many places. */
static void test_ring(void **state)
{
	struct event_ring *ring = event_ring_new(0);
	struct event_cursor quick, slow = {0}, last;
	static char text[EVENT_TEXT_MAX + 1];
	uint64_t lost = 0, i, seen = 0;
	struct event event;

	(void)state;
	assert_non_null(ring);
	quick = event_ring_oldest(ring);
	assert_false(event_ring_next(ring, &quick, &event, &lost));
	memset(text, 'm', EVENT_TEXT_MAX);
	for (i = 0; i < 20000; i++) {
		event = example();
		event.id = i;
		event.text[EVENT_MESSAGE] = text + EVENT_TEXT_MAX - i * 37 % EVENT_TEXT_MAX;
		event_ring_put(ring, &event);
		assert_true(event_ring_next(ring, &quick, &event, &lost));
		assert_int_equal(event.id, i);
		assert_int_equal(event.text[EVENT_MESSAGE] ? strlen(event.text[EVENT_MESSAGE]) : 0,
				 i * 37 % EVENT_TEXT_MAX);
	}
	assert_int_equal(lost, 0);
	assert_false(event_ring_next(ring, &quick, &event, &lost));
	last = event_ring_newest(ring);
	assert_int_equal(last.number, 20000);
	while (event_ring_next(ring, &slow, &event, &lost))
		assert_int_equal(event.id, lost + seen++);
	assert_int_equal(lost + seen, 20000);
	assert_true(seen > 200 && seen < 2000);
	event_ring_free(ring);
}

/* The ring keeps labels once for each container. */
static void test_ring_labels(void **state)
{
	struct event_ring *ring = event_ring_new(0);
	struct event_cursor cursor;
	struct event event = example();
	uint64_t lost = 0;
	char labels[] = "{\"a\":\"1\"}", id[9];
	int i;

	(void)state;
	assert_non_null(ring);
	cursor = event_ring_oldest(ring);
	event_ring_put(ring, &event);
	event.text[EVENT_CONTAINER_ID] = "0a0b0c0d";
	event.text[EVENT_CONTAINER_LABELS] = labels;
	for (i = 0; i < 3; i++)
		event_ring_put(ring, &event);
	labels[6] = '2';
	event_ring_put(ring, &event);
	assert_true(event_ring_next(ring, &cursor, &event, &lost));
	assert_null(event.text[EVENT_CONTAINER_LABELS]);
	/* Other labels of the same container have taken the place. */
	for (i = 0; i < 3; i++) {
		assert_true(event_ring_next(ring, &cursor, &event, &lost));
		assert_null(event.text[EVENT_CONTAINER_LABELS]);
	}
	assert_true(event_ring_next(ring, &cursor, &event, &lost));
	assert_string_equal(event.text[EVENT_CONTAINER_LABELS], "{\"a\":\"2\"}");
	/* As many containers as there are places. */
	for (i = 0; i < EVENT_LABELS_KEPT; i++) {
		event = example();
		(void)snprintf(id, sizeof(id), "%08x", (unsigned int)i);
		event.text[EVENT_CONTAINER_ID] = id;
		event.text[EVENT_CONTAINER_LABELS] = labels;
		event_ring_put(ring, &event);
	}
	for (i = 0; i < EVENT_LABELS_KEPT; i++) {
		assert_true(event_ring_next(ring, &cursor, &event, &lost));
		assert_string_equal(event.text[EVENT_CONTAINER_LABELS], labels);
	}
	assert_int_equal(lost, 0);
	event_ring_free(ring);
}

static void test_labels(void **state)
{
	static const char packed[] = "a\0"
				     "1\0"
				     "b\"\0"
				     "\xff\0"
				     "c\0"
				     "\0"
				     "\0"
				     "hidden\0"
				     "x";
	static const char cut[] = {'a', '\0', '1', '\0', 'b', '\0', '2'};
	static char many[4 * EVENT_LABELS_MAX], json[EVENT_LABELS_MAX + 1];
	json_t *object;

	(void)state;
	event_labels_write(packed, sizeof(packed), json);
	assert_string_equal(json, "{\"a\":\"1\",\"b\\\"\":\"\\ufffd\",\"c\":\"\"}");
	event_labels_write("", 1, json);
	assert_string_equal(json, "{}");
	event_labels_write(cut, sizeof(cut), json);
	assert_string_equal(json, "{\"a\":\"1\"}");
	memset(many, '\x01', sizeof(many));
	for (size_t i = 40; i < sizeof(many); i += 40 + i % 3)
		many[i] = '\0';
	event_labels_write(many, sizeof(many), json);
	object = json_loads(json, 0, NULL);
	assert_non_null(object);
	json_decref(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection), cmocka_unit_test(test_types),
		cmocka_unit_test(test_times),	   cmocka_unit_test(test_hostile_texts),
		cmocka_unit_test(test_packed),	   cmocka_unit_test(test_packed_opener),
		cmocka_unit_test(test_sinks),	   cmocka_unit_test(test_full),
		cmocka_unit_test(test_ring),	   cmocka_unit_test(test_ring_labels),
		cmocka_unit_test(test_labels),	   cmocka_unit_test(test_query),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
