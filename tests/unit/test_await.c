// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/await.h"
#include "lib/clock.h"

#define FAR_MS 60000

static uint64_t in(unsigned int ms)
{
	return clock_ms() + ms;
}

static void test_what_comes_first_ends_the_wait(void **state)
{
	int full = eventfd(1, EFD_CLOEXEC), empty = eventfd(0, EFD_CLOEXEC);

	(void)state;
	assert_int_equal(await(full, POLLIN, -1, in(FAR_MS)), 0);
	assert_int_equal(await(full, POLLIN, empty, in(FAR_MS)), 0);
	assert_int_equal(await(empty, POLLOUT, -1, in(FAR_MS)), 0);
	assert_int_equal(await(empty, POLLIN, full, in(FAR_MS)), -ECANCELED);
	assert_int_equal(await(-1, POLLIN, full, in(FAR_MS)), -ECANCELED);
	/* The stop wins. */
	assert_int_equal(await(full, POLLIN, full, in(FAR_MS)), -ECANCELED);
	(void)close(full);
	(void)close(empty);
}

static void test_the_deadline_ends_the_wait(void **state)
{
	int full = eventfd(1, EFD_CLOEXEC), empty = eventfd(0, EFD_CLOEXEC);
	uint64_t end = in(20);

	(void)state;
	assert_int_equal(await(empty, POLLIN, -1, end), -ETIMEDOUT);
	assert_true(clock_ms() >= end);
	/* One that has passed leaves what is there already. */
	assert_int_equal(await(full, POLLIN, empty, end), 0);
	assert_int_equal(await(-1, POLLIN, -1, end), -ETIMEDOUT);
	(void)close(full);
	(void)close(empty);
}

static void test_an_error_of_the_descriptor_ends_the_wait(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(pipe(pair), 0);
	(void)close(pair[0]);
	assert_int_equal(await(pair[1], 0, -1, in(FAR_MS)), 0);
	(void)close(pair[1]);
}

static void ignore(int number)
{
	(void)number;
}

static void test_a_signal_does_not_end_the_wait(void **state)
{
	const struct sigaction action = {.sa_handler = ignore};
	const struct itimerspec often = {.it_value.tv_nsec = 1000000,
					 .it_interval.tv_nsec = 1000000};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	int empty = eventfd(0, EFD_CLOEXEC);
	uint64_t end = in(30);
	timer_t timer;

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	assert_int_equal(timer_settime(timer, 0, &often, NULL), 0);
	assert_int_equal(await(empty, POLLIN, -1, end), -ETIMEDOUT);
	assert_true(clock_ms() >= end);
	(void)timer_delete(timer);
	(void)close(empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_comes_first_ends_the_wait),
		cmocka_unit_test(test_the_deadline_ends_the_wait),
		cmocka_unit_test(test_an_error_of_the_descriptor_ends_the_wait),
		cmocka_unit_test(test_a_signal_does_not_end_the_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
