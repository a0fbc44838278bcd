// SPDX-License-Identifier: Apache-2.0
/* Tests that repeats of a denied packet become one event with their number. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "events/event_denials.h"

struct bed {
	struct loop *loop;
	struct event_denials *denials;
	uint64_t flows, packets, last_packets;
	struct sidestep_denial last;
};

static void put(void *context, const struct sidestep_denial *first, uint64_t time_us,
		uint64_t packets)
{
	struct bed *bed = context;

	assert_true(time_us > 0);
	bed->flows++;
	bed->packets += packets;
	bed->last_packets = packets;
	bed->last = *first;
	loop_stop(bed->loop);
}

static int setup(void **state)
{
	static struct bed bed;

	bed = (struct bed) {.loop = loop_new()};
	if (!bed.loop)
		return -1;
	bed.denials = event_denials_new(bed.loop, put, &bed);
	*state = &bed;
	return bed.denials ? 0 : -1;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	event_denials_free(bed->denials);
	loop_free(bed->loop);
	return 0;
}

static struct sidestep_denial denial_of(uint16_t port)
{
	return (struct sidestep_denial) {
		.flow = {.local_port = port, .remote_port = 9, .protocol = IPPROTO_UDP, .netns = 7},
		.verdict = SIDESTEP_DENY_UDP,
		.judged = SIDESTEP_DENY_UDP,
		.process.pid = 77,
	};
}

static void test_repeats(void **state)
{
	struct sidestep_denial denial = denial_of(1);
	struct bed *bed = *state;
	int i;

	event_denials_flush(bed->denials);
	for (i = 0; i < 5000; i++) {
		denial.lost = (uint32_t)i;
		denial.process.cookie = (uint64_t)i;
		event_denials_add(bed->denials, &denial);
	}
	assert_int_equal(bed->flows, 0);
	event_denials_flush(bed->denials);
	assert_int_equal(bed->flows, 1);
	assert_int_equal(bed->packets, 5000);
	assert_int_equal(bed->last.lost, 4999);
	assert_int_equal(bed->last.process.cookie, 0);
	event_denials_flush(bed->denials);
	assert_int_equal(bed->flows, 1);
}

/* A packet of another flow, verdict or process is another event. */
static void test_others(void **state)
{
	struct sidestep_denial denials[] = {denial_of(1), denial_of(1), denial_of(1), denial_of(1),
					    denial_of(2)};
	struct bed *bed = *state;
	size_t i;

	denials[1].verdict = SIDESTEP_GUARD_DROPS;
	denials[2].judged = SIDESTEP_STEER_TCP;
	denials[3].process.pid = 78;
	for (i = 0; i < 10; i++)
		event_denials_add(bed->denials, &denials[i % 5]);
	event_denials_flush(bed->denials);
	assert_int_equal(bed->flows, 5);
	assert_int_equal(bed->packets, 10);
	assert_int_equal(bed->last_packets, 2);
	assert_int_equal(bed->last.flow.local_port, 2);
}

/* More flows than there is room for: all are put. */
static void test_full(void **state)
{
	struct bed *bed = *state;
	struct sidestep_denial denial;
	int i;

	for (i = 0; i < 10 * EVENT_DENIALS_MAX; i++) {
		denial = denial_of((uint16_t)i);
		event_denials_add(bed->denials, &denial);
	}
	event_denials_flush(bed->denials);
	assert_int_equal(bed->flows, 10 * EVENT_DENIALS_MAX);
	assert_int_equal(bed->packets, 10 * EVENT_DENIALS_MAX);
}

/* They are put by themselves. */
static void test_timer(void **state)
{
	struct sidestep_denial denial = denial_of(1);
	struct bed *bed = *state;

	event_denials_add(bed->denials, &denial);
	event_denials_add(bed->denials, &denial);
	assert_int_equal(loop_run(bed->loop), 0);
	assert_int_equal(bed->flows, 1);
	assert_int_equal(bed->packets, 2);
}

static void test_lost(void **state)
{
	struct sidestep_denial denial = {.lost = 5};
	uint32_t told = 0;

	(void)state;
	assert_int_equal(event_denials_lost(&denial, &told), 5);
	assert_int_equal(event_denials_lost(&denial, &told), 0);
	denial.lost = 3;
	assert_int_equal(event_denials_lost(&denial, &told), 0);
	assert_int_equal(told, 5);
	told = UINT32_MAX - 1;
	assert_int_equal(event_denials_lost(&denial, &told), 5);
	assert_int_equal(told, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_repeats, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer, setup, teardown),
		cmocka_unit_test(test_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
