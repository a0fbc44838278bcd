// SPDX-License-Identifier: Apache-2.0
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "stream/loop.h"

struct fixture {
	struct loop *loop;
	struct loop_handler handler[2];
	struct loop_timer timer[4];
	struct loop_timer_class short_class, long_class;
	struct loop_task task;
	int order[16];
	int count;
	uint64_t fired_at[4];
	unsigned int wakes;
};

static struct fixture *fixture;

static void note(int number)
{
	fixture->order[fixture->count++] = number;
}

static int setup(void **state)
{
	(void)state;
	fixture = calloc(1, sizeof(*fixture));
	fixture->loop = loop_new();
	fixture->handler[0].fd = fixture->handler[1].fd = -1;
	return fixture->loop ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	loop_close(&fixture->handler[0]);
	loop_close(&fixture->handler[1]);
	loop_free(fixture->loop);
	free(fixture);
	return 0;
}

static void timer_note(struct loop_timer *timer)
{
	note((int)(timer - fixture->timer));
	fixture->fired_at[timer - fixture->timer] = loop_now(fixture->loop);
	if (timer == &fixture->timer[3])
		loop_stop(fixture->loop);
}

/* The timers of a class fire in the order of their starts. A machine with other work may be so late
 * that two classes are due in one round, in either order. */
static void test_timers_fire_in_order(void **state)
{
	uint64_t start = loop_now(fixture->loop);
	int i, first;

	(void)state;
	loop_timer_class_init(fixture->loop, &fixture->short_class, 5);
	loop_timer_class_init(fixture->loop, &fixture->long_class, 20);
	for (i = 0; i < 4; i++)
		fixture->timer[i].expired = timer_note;
	loop_timer_start(fixture->loop, &fixture->long_class, &fixture->timer[3]);
	loop_timer_start(fixture->loop, &fixture->short_class, &fixture->timer[0]);
	loop_timer_start(fixture->loop, &fixture->short_class, &fixture->timer[1]);
	loop_timer_start(fixture->loop, &fixture->short_class, &fixture->timer[2]);
	loop_timer_stop(&fixture->timer[1]);
	loop_timer_stop(&fixture->timer[1]);
	/* Started again, it is the last of its class. */
	loop_timer_start(fixture->loop, &fixture->short_class, &fixture->timer[0]);
	assert_int_equal(loop_run(fixture->loop), 0);
	assert_int_equal(fixture->count, 3);
	first = fixture->order[0] == 3;
	assert_int_equal(fixture->order[first], 2);
	assert_int_equal(fixture->order[first + 1], 0);
	assert_true(fixture->fired_at[2] - start >= 5);
	assert_true(fixture->fired_at[3] - start >= 20);
	assert_true(fixture->fired_at[3] >= fixture->fired_at[0]);
	assert_false(loop_timer_running(&fixture->timer[1]));
}

static void task_note(struct loop_task *task)
{
	note(1);
	if (fixture->count < 3)
		loop_defer(fixture->loop, task);
	else
		loop_stop(fixture->loop);
}

static void test_tasks_repeat_and_merge(void **state)
{
	(void)state;
	fixture->task.run = task_note;
	loop_defer(fixture->loop, &fixture->task);
	loop_defer(fixture->loop, &fixture->task);
	assert_int_equal(loop_run(fixture->loop), 0);
	assert_int_equal(fixture->count, 3);
	loop_defer(fixture->loop, &fixture->task);
	loop_cancel(&fixture->task);
	loop_flush(fixture->loop);
	assert_int_equal(fixture->count, 3);
}

/* The first of two ready handlers closes the other, whose event must be dropped. */
static void close_other(struct loop_handler *handler, uint32_t events)
{
	assert_true(events & EPOLLIN);
	assert_true(handler->latched & EPOLLIN);
	note((int)(handler - fixture->handler));
	loop_close(&fixture->handler[handler == fixture->handler]);
	loop_stop(fixture->loop);
}

static void test_closed_handlers_get_no_events(void **state)
{
	int i, pair[2][2];

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
		assert_int_equal(write(pair[i][1], "x", 1), 1);
		fixture->handler[i].ready = close_other;
		assert_int_equal(loop_add(fixture->loop, &fixture->handler[i], pair[i][0], EPOLLIN),
				 0);
	}
	assert_int_equal(loop_run(fixture->loop), 0);
	assert_int_equal(fixture->count, 1);
	close(pair[0][1]);
	close(pair[1][1]);
}

static void woken(void *context)
{
	struct fixture *self = context;

	if (++self->wakes == 1)
		loop_stop(self->loop);
}

static void *wake_thread(void *context)
{
	loop_wake(((struct fixture *)context)->loop);
	return NULL;
}

static void test_wake_from_another_thread(void **state)
{
	pthread_t thread;

	(void)state;
	loop_on_wake(fixture->loop, woken, fixture);
	assert_int_equal(pthread_create(&thread, NULL, wake_thread, fixture), 0);
	assert_int_equal(loop_run(fixture->loop), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(fixture->wakes, 1);
}

static void test_add_bad_fd(void **state)
{
	(void)state;
	fixture->handler[0].fd = 5;
	assert_true(loop_add(fixture->loop, &fixture->handler[0], -1, EPOLLIN) < 0);
	assert_int_equal(fixture->handler[0].fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_timers_fire_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tasks_repeat_and_merge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closed_handlers_get_no_events, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_wake_from_another_thread, setup, teardown),
		cmocka_unit_test_setup_teardown(test_add_bad_fd, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
