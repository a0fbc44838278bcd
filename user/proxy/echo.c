// SPDX-License-Identifier: Apache-2.0
#include "proxy/echo.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "lib/util.h"

static unsigned long long packed(const struct sockaddr_in *address)
{
	return (unsigned long long)address->sin_addr.s_addr << 16 | address->sin_port;
}

void echo_init(struct echo *echo)
{
	(void)pthread_mutex_init(&echo->lock, NULL);
	echo->fd = -1;
	atomic_store(&echo->awaited, 0);
	atomic_store(&echo->is_looping, false);
}

int echo_open(struct echo *echo)
{
	echo->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return echo->fd < 0 ? -errno : 0;
}

void echo_free(struct echo *echo)
{
	echo->fd = safe_close(echo->fd);
	(void)pthread_mutex_destroy(&echo->lock);
}

void echo_await(struct echo *echo, const struct sockaddr_in *destination)
{
	eventfd_t count;

	(void)pthread_mutex_lock(&echo->lock);
	(void)eventfd_read(echo->fd, &count);
	atomic_store(&echo->awaited, packed(destination));
	(void)pthread_mutex_unlock(&echo->lock);
}

bool echo_has_come(const struct echo *echo, const struct sockaddr_storage *destination)
{
	unsigned long long awaited = atomic_load_explicit(&echo->awaited, memory_order_relaxed);

	return awaited && destination->ss_family == AF_INET &&
	       packed((const struct sockaddr_in *)destination) == awaited;
}

void echo_report(struct echo *echo, const struct sockaddr_storage *destination)
{
	(void)pthread_mutex_lock(&echo->lock);
	if (echo_has_come(echo, destination))
		(void)eventfd_write(echo->fd, 1);
	(void)pthread_mutex_unlock(&echo->lock);
}
