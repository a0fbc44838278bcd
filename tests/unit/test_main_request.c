// SPDX-License-Identifier: Apache-2.0
/* Tests requests of another thread to the main thread. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sidecar/main_request.h"

struct answerer {
	struct main_request *request;
	int error;
	union main_request_value value;
};

static void *answer(void *context)
{
	struct answerer *answerer = context;
	struct pollfd asked = {.fd = answerer->request->fd, .events = POLLIN};

	assert_int_equal(poll(&asked, 1, 5000), 1);
	main_request_take(answerer->request, &answerer->value);
	main_request_answer(answerer->request, answerer->error);
	return NULL;
}

static void post(struct main_request *request, bool on)
{
	const union main_request_value value = {.internet = on};

	main_request_post(request, &value);
}

static int ask(struct main_request *request, bool on, int error)
{
	struct answerer answerer = {.request = request, .error = error, .value.internet = !on};
	pthread_t thread;
	int result;

	assert_int_equal(pthread_create(&thread, NULL, answer, &answerer), 0);
	post(request, on);
	result = main_request_wait(request);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(answerer.value.internet, on);
	return result;
}

static void test_answers(void **state)
{
	struct main_request request = {.fd = -1};
	union main_request_value value;

	(void)state;
	assert_int_equal(main_request_open(&request), 0);
	assert_int_equal(ask(&request, false, 0), 0);
	assert_int_equal(ask(&request, false, -ENOSPC), -ENOSPC);
	assert_int_equal(ask(&request, true, 0), 0);
	/* Nobody answers. The next request has an answer of its own. */
	post(&request, false);
	assert_int_equal(main_request_wait(&request), -ETIMEDOUT);
	main_request_take(&request, &value);
	assert_false(value.internet);
	assert_int_equal(ask(&request, true, -EAGAIN), -EAGAIN);
	/* Nobody waits for the first one. The answer to it is not the second one's. */
	post(&request, true);
	main_request_take(&request, &value);
	assert_true(value.internet);
	post(&request, false);
	main_request_answer(&request, 0);
	assert_int_equal(main_request_wait(&request), -ETIMEDOUT);
	main_request_close(&request);
	assert_int_equal(request.fd, -1);
	main_request_close(&request);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
