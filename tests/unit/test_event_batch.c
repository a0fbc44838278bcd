// SPDX-License-Identifier: Apache-2.0
/* Tests events on their way from a sidecar to the agent, which trusts nothing of them. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "events/event_batch.h"
#include "lib/util.h"

static struct event_batch batch;
static unsigned int taken;

static struct event example(void)
{
	struct event event = event_of(EVENT_CONNECTION);

	event.protocol = IPPROTO_TCP;
	event.verdict = SIDESTEP_STEER_TCP;
	event.has_ports = true;
	event.text[EVENT_NAME] = "example.com";
	event.text[EVENT_REASON] = "relayed";
	return event;
}

static void take(void *context, struct event *event)
{
	unsigned int i;

	(void)context;
	taken++;
	/* Sanitizers see whether all texts end within the message. */
	for (i = 0; i < EVENT_TEXTS; i++)
		assert_true(!event->text[i] || strlen(event->text[i]) < EVENT_BATCH_MAX);
}

static void test_a_batch_is_read_as_it_was_written(void **state)
{
	const struct event event = example();

	(void)state;
	memset(&batch, 0, sizeof(batch));
	taken = 0;
	assert_true(event_batch_add(&batch, &event));
	assert_true(event_batch_add(&batch, &event));
	assert_true(event_batch_each(batch.bytes, batch.used, take, NULL));
	assert_int_equal(taken, 2);
}

static void test_a_full_batch_takes_no_more(void **state)
{
	const struct event event = example();
	unsigned int count = 0;

	(void)state;
	memset(&batch, 0, sizeof(batch));
	taken = 0;
	while (event_batch_add(&batch, &event))
		count++;
	assert_true(event_batch_each(batch.bytes, batch.used, take, NULL));
	assert_int_equal(taken, count);
}

static void test_no_part_of_a_message_is_one(void **state)
{
	const struct event event = example();
	size_t size;

	(void)state;
	memset(&batch, 0, sizeof(batch));
	assert_true(event_batch_add(&batch, &event));
	for (size = 1; size < batch.used; size++) {
		/* Of its own size, so that sanitizers see what is read behind it. */
		char *part = malloc(size);

		assert_non_null(part);
		memcpy(part, batch.bytes, size);
		assert_false(event_batch_each(part, size, take, NULL));
		free(part);
	}
}

static void test_any_byte_may_be_another_one(void **state)
{
	const struct event event = example();
	unsigned int value;
	size_t at;

	(void)state;
	memset(&batch, 0, sizeof(batch));
	assert_true(event_batch_add(&batch, &event));
	for (at = 0; at < batch.used; at++) {
		char was = batch.bytes[at];

		for (value = 0; value < 256; value++) {
			batch.bytes[at] = (char)value;
			(void)event_batch_each(batch.bytes, batch.used, take, NULL);
		}
		batch.bytes[at] = was;
	}
}

static void test_numbers_that_name_nothing(void **state)
{
	struct event event = example();

	(void)state;
	memset(&batch, 0, sizeof(batch));
	event.type = EVENT_TYPES;
	assert_true(event_batch_add(&batch, &event));
	assert_false(event_batch_each(batch.bytes, batch.used, take, NULL));
	memset(&batch, 0, sizeof(batch));
	event = example();
	event.verdict = SIDESTEP_COUNTERS;
	assert_true(event_batch_add(&batch, &event));
	assert_false(event_batch_each(batch.bytes, batch.used, take, NULL));
}

/* Readers of JSON have 63 bits, and would take the whole line for none. */
static void test_numbers_that_no_reader_has(void **state)
{
	static const size_t numbers[] = {offsetof(struct event, bytes_sent),
					 offsetof(struct event, bytes_received),
					 offsetof(struct event, duration_ms),
					 offsetof(struct event, count)};
	const uint64_t most = INT64_MAX, more = most + 1;
	struct event event;
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		memset(&batch, 0, sizeof(batch));
		event = example();
		memcpy((char *)&event + numbers[i], &most, sizeof(most));
		assert_true(event_batch_add(&batch, &event));
		assert_true(event_batch_each(batch.bytes, batch.used, take, NULL));
		memcpy((char *)&event + numbers[i], &more, sizeof(more));
		assert_true(event_batch_add(&batch, &event));
		assert_false(event_batch_each(batch.bytes, batch.used, take, NULL));
	}
}

static const char *labels; /* of the last event */

static void take_labels(void *context, struct event *event)
{
	take(context, event);
	labels = event->text[EVENT_CONTAINER_LABELS];
}

/* Does the batch have room for @count events, and no more? */
static void fill(const struct event *event, unsigned int count)
{
	unsigned int i;

	memset(&batch, 0, sizeof(batch));
	for (i = 0; i < count; i++)
		assert_true(event_batch_add_labelled(&batch, event));
	assert_false(event_batch_add_labelled(&batch, event));
}

static void test_labels_come_along_where_they_are_wanted(void **state)
{
	struct event event = example();
	char most[EVENT_LABELS_MAX + 1];
	size_t size;

	(void)state;
	memset(&batch, 0, sizeof(batch));
	assert_true(event_batch_add_labelled(&batch, &event));
	assert_true(event_batch_each_labelled(batch.bytes, batch.used, take_labels, NULL));
	assert_null(labels);
	event.text[EVENT_CONTAINER_LABELS] = "{\"a\":\"b\"}";
	assert_true(event_batch_add_labelled(&batch, &event));
	assert_true(event_batch_each_labelled(batch.bytes, batch.used, take_labels, NULL));
	assert_string_equal(labels, "{\"a\":\"b\"}");
	/* A sidecar's message has none. */
	memset(&batch, 0, sizeof(batch));
	assert_true(event_batch_add(&batch, &event));
	assert_true(event_batch_each(batch.bytes, batch.used, take_labels, NULL));
	assert_null(labels);

	memset(most, 'x', EVENT_LABELS_MAX);
	most[EVENT_LABELS_MAX] = '\0';
	event.text[EVENT_CONTAINER_LABELS] = most;
	fill(&event, 15);
	assert_true(event_batch_each_labelled(batch.bytes, batch.used, take_labels, NULL));
	assert_string_equal(labels, most);
	/* No part of the last event is one. */
	size = batch.used - batch.used / 15 + 1;
	for (; size < batch.used; size++)
		assert_false(event_batch_each_labelled(batch.bytes, size, take_labels, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_batch_is_read_as_it_was_written),
		cmocka_unit_test(test_a_full_batch_takes_no_more),
		cmocka_unit_test(test_no_part_of_a_message_is_one),
		cmocka_unit_test(test_any_byte_may_be_another_one),
		cmocka_unit_test(test_numbers_that_name_nothing),
		cmocka_unit_test(test_numbers_that_no_reader_has),
		cmocka_unit_test(test_labels_come_along_where_they_are_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
