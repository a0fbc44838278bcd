// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_internet.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "lib/clock.h"
#include "lib/condition.h"
#include "lib/util.h"

int sidecar_internet_open(struct sidecar_internet *internet)
{
	int error;

	(void)pthread_mutex_init(&internet->lock, NULL);
	condition_init(&internet->answered);
	internet->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (internet->fd >= 0)
		return 0;
	error = -errno;
	(void)pthread_cond_destroy(&internet->answered);
	(void)pthread_mutex_destroy(&internet->lock);
	return error;
}

void sidecar_internet_close(struct sidecar_internet *internet)
{
	if (internet->fd < 0)
		return;
	(void)pthread_cond_destroy(&internet->answered);
	(void)pthread_mutex_destroy(&internet->lock);
	internet->fd = safe_close(internet->fd);
}

void sidecar_internet_post(struct sidecar_internet *internet, bool on)
{
	(void)pthread_mutex_lock(&internet->lock);
	internet->on = on;
	internet->asked++;
	(void)pthread_mutex_unlock(&internet->lock);
	(void)eventfd_write(internet->fd, 1);
}

int sidecar_internet_wait(struct sidecar_internet *internet)
{
	const uint64_t deadline = clock_ms() + SIDECAR_INTERNET_WAIT_MS;
	int error = 0;

	(void)pthread_mutex_lock(&internet->lock);
	while (internet->done != internet->asked && error == 0)
		error = condition_wait_until(&internet->answered, &internet->lock, deadline);
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
