// SPDX-License-Identifier: Apache-2.0
/* Tests the switch between the control API's thread and the main thread. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sidecar/sidecar_internet.h"

struct answerer {
	struct sidecar_internet *internet;
	int error;
	bool on;
};

static void *answer(void *context)
{
	struct answerer *answerer = context;
	struct pollfd asked = {.fd = answerer->internet->fd, .events = POLLIN};

	assert_int_equal(poll(&asked, 1, 5000), 1);
	answerer->on = sidecar_internet_take(answerer->internet);
	sidecar_internet_answer(answerer->internet, answerer->error);
	return NULL;
}

static int request(struct sidecar_internet *internet, bool on, int error)
{
	struct answerer answerer = {.internet = internet, .error = error, .on = !on};
	pthread_t thread;
	int result;

	assert_int_equal(pthread_create(&thread, NULL, answer, &answerer), 0);
	sidecar_internet_post(internet, on);
	result = sidecar_internet_wait(internet);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(answerer.on, on);
	return result;
}

static void test_answers(void **state)
{
	struct sidecar_internet internet = {.fd = -1};

	(void)state;
	assert_int_equal(sidecar_internet_open(&internet), 0);
	assert_int_equal(request(&internet, false, 0), 0);
	assert_int_equal(request(&internet, false, -ENOSPC), -ENOSPC);
	assert_int_equal(request(&internet, true, 0), 0);
	/* Nobody answers. The next request has an answer of its own. */
	sidecar_internet_post(&internet, false);
	assert_int_equal(sidecar_internet_wait(&internet), -ETIMEDOUT);
	assert_false(sidecar_internet_take(&internet));
	assert_int_equal(request(&internet, true, -EAGAIN), -EAGAIN);
	/* Nobody waits for the first one. The answer to it is not the second one's. */
	sidecar_internet_post(&internet, true);
	assert_true(sidecar_internet_take(&internet));
	sidecar_internet_post(&internet, false);
	sidecar_internet_answer(&internet, 0);
	assert_int_equal(sidecar_internet_wait(&internet), -ETIMEDOUT);
	sidecar_internet_close(&internet);
	assert_int_equal(internet.fd, -1);
	sidecar_internet_close(&internet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
