// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_internet.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>

#include "lib/util.h"

/* workerd waits 2 s for the answer to its request, which includes this, s. */
#define ANSWER_S 1

int sidecar_internet_open(struct sidecar_internet *internet)
{
	pthread_condattr_t attributes;
	int error;

	internet->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (internet->fd < 0)
		return -errno;
	(void)pthread_mutex_init(&internet->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	error = pthread_cond_init(&internet->answered, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	return -error;
}

void sidecar_internet_close(struct sidecar_internet *internet)
{
	if (internet->fd < 0)
		return;
	(void)pthread_cond_destroy(&internet->answered);
	(void)pthread_mutex_destroy(&internet->lock);
	internet->fd = safe_close(internet->fd);
}

int sidecar_internet_request(struct sidecar_internet *internet, bool on)
{
	struct timespec until;
	int error = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ANSWER_S;
	(void)pthread_mutex_lock(&internet->lock);
	internet->on = on;
	internet->asked++;
	(void)eventfd_write(internet->fd, 1);
	while (internet->done != internet->asked && error == 0)
		error = pthread_cond_timedwait(&internet->answered, &internet->lock, &until);
	error = internet->done == internet->asked ? internet->error : -ETIMEDOUT;
	(void)pthread_mutex_unlock(&internet->lock);
	return error;
}

bool sidecar_internet_take(struct sidecar_internet *internet)
{
	eventfd_t count;
	bool on;

	(void)eventfd_read(internet->fd, &count);
	(void)pthread_mutex_lock(&internet->lock);
	on = internet->on;
	internet->taken = internet->asked;
	(void)pthread_mutex_unlock(&internet->lock);
	return on;
}

void sidecar_internet_answer(struct sidecar_internet *internet, int error)
{
	(void)pthread_mutex_lock(&internet->lock);
	internet->done = internet->taken;
	internet->error = error;
	(void)pthread_cond_signal(&internet->answered);
	(void)pthread_mutex_unlock(&internet->lock);
}
