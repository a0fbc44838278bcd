// SPDX-License-Identifier: Apache-2.0
/* The end of the wait for a client's first bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/util.h"
#include "proxy/peek.h"

#define WAIT_MS	     50
#define LONG_WAIT_MS 300

struct bed {
	struct worker worker;
	struct loop_handler side;
	struct peek peek;
	int client;
	unsigned int over;
	int error;
};

static void peeked(struct peek *peek, int error)
{
	struct bed *bed = container_of(peek, struct bed, peek);

	bed->over++;
	bed->error = error;
}

/* The peek has begun, and the client is silent. */
static int setup(void **state)
{
	static struct bed bed;
	int pair[2];

	*state = &bed;
	memset(&bed, 0, sizeof(bed));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	bed.client = pair[0];
	bed.worker.loop = loop_new();
	bed.worker.pool = relay_pool_new(bed.worker.loop);
	loop_timer_class_init(bed.worker.loop, &bed.worker.peek_class, WAIT_MS);
	loop_timer_class_init(bed.worker.loop, &bed.worker.client_first_class, LONG_WAIT_MS);
	bed.peek.done = peeked;
	if (loop_add(bed.worker.loop, &bed.side, pair[1], RELAY_EVENTS) < 0)
		return -1;
	peek_start(&bed.peek, &bed.worker, &bed.side, true, true, false);
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	peek_release(&bed->peek);
	loop_close(&bed->side);
	relay_pool_free(bed->worker.pool);
	loop_free(bed->worker.loop);
	return close(bed->client);
}

/* The wait ends before an event has told of these bytes. */
static void expire(struct bed *bed, const char *bytes)
{
	assert_int_equal(bed->over, 0);
	assert_int_equal(send(bed->client, bytes, strlen(bytes), 0), strlen(bytes));
	loop_timer_stop(&bed->peek.timer);
	bed->peek.timer.expired(&bed->peek.timer);
}

static void test_bytes_that_no_event_has_told_of_count(void **state)
{
	struct bed *bed = *state;

	expire(bed, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
	assert_int_equal(bed->over, 1);
	assert_int_equal(bed->error, 0);
	assert_string_equal(bed->peek.hints.name, "a.example");
}

static void test_a_client_that_has_begun_gets_the_long_wait_once(void **state)
{
	struct bed *bed = *state;

	expire(bed, "GET / HTTP/1.1\r\n");
	assert_true(loop_timer_running(&bed->peek.timer));
	expire(bed, "Host: a.exam");
	assert_int_equal(bed->over, 1);
	assert_int_equal(bed->peek.hints.kind, HINTS_NONE);
}

static void test_silence_ends_the_peek(void **state)
{
	struct bed *bed = *state;

	expire(bed, "");
	assert_int_equal(bed->over, 1);
	assert_int_equal(bed->error, 0);
	assert_int_equal(bed->peek.size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bytes_that_no_event_has_told_of_count, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_a_client_that_has_begun_gets_the_long_wait_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silence_ends_the_peek, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
