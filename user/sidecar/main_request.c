// SPDX-License-Identifier: Apache-2.0
#include "sidecar/main_request.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "lib/clock.h"
#include "lib/condition.h"
#include "lib/util.h"

int main_request_open(struct main_request *request)
{
	int error;

	(void)pthread_mutex_init(&request->lock, NULL);
	condition_init(&request->answered);
	request->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (request->fd >= 0)
		return 0;
	error = -errno;
	(void)pthread_cond_destroy(&request->answered);
	(void)pthread_mutex_destroy(&request->lock);
	return error;
}

void main_request_close(struct main_request *request)
{
	if (request->fd < 0)
		return;
	(void)pthread_cond_destroy(&request->answered);
	(void)pthread_mutex_destroy(&request->lock);
	request->fd = safe_close(request->fd);
}

void main_request_post(struct main_request *request, const union main_request_value *value)
{
	(void)pthread_mutex_lock(&request->lock);
	request->value = *value;
	request->asked++;
	(void)pthread_mutex_unlock(&request->lock);
	(void)eventfd_write(request->fd, 1);
}

int main_request_wait(struct main_request *request)
{
	const uint64_t deadline = clock_ms() + MAIN_REQUEST_WAIT_MS;
	int error = 0;

	(void)pthread_mutex_lock(&request->lock);
	while (request->done != request->asked && error == 0)
		error = condition_wait_until(&request->answered, &request->lock, deadline);
	error = request->done == request->asked ? request->error : -ETIMEDOUT;
	(void)pthread_mutex_unlock(&request->lock);
	return error;
}

void main_request_take(struct main_request *request, union main_request_value *ret_value)
{
	eventfd_t count;

	(void)eventfd_read(request->fd, &count);
	(void)pthread_mutex_lock(&request->lock);
	*ret_value = request->value;
	request->taken = request->asked;
	(void)pthread_mutex_unlock(&request->lock);
}

void main_request_answer(struct main_request *request, int error)
{
	(void)pthread_mutex_lock(&request->lock);
	request->done = request->taken;
	request->error = error;
	(void)pthread_cond_signal(&request->answered);
	(void)pthread_mutex_unlock(&request->lock);
}
