// SPDX-License-Identifier: Apache-2.0
#include "proxy/echo.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "lib/util.h"

static unsigned long long packed(const struct sockaddr_in *address)
{
	return (unsigned long long)address->sin_addr.s_addr << 16 | address->sin_port;
}

int echo_open(struct echo *echo)
{
	echo->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return echo->fd < 0 ? -errno : 0;
}

void echo_close(struct echo *echo)
{
	echo->fd = safe_close(echo->fd);
}

void echo_await(struct echo *echo, const struct sockaddr_in *destination)
{
	eventfd_t count;

	(void)eventfd_read(echo->fd, &count);
	atomic_store(&echo->awaited, packed(destination));
}

static bool has_come(struct echo *echo, int fd, unsigned long long awaited)
{
	struct sockaddr_storage destination = {0};
	socklen_t size = sizeof(destination);

	if (getsockname(fd, (struct sockaddr *)&destination, &size) < 0 ||
	    destination.ss_family != AF_INET ||
	    packed((const struct sockaddr_in *)&destination) != awaited)
		return false;
	(void)eventfd_write(echo->fd, 1);
	return true;
}

bool echo_refuses(struct echo *echo, int fd)
{
	unsigned long long awaited = atomic_load_explicit(&echo->awaited, memory_order_relaxed);

	return (awaited && has_come(echo, fd, awaited)) ||
	       atomic_load_explicit(&echo->is_looping, memory_order_relaxed);
}
