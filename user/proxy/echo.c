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

bool echo_has_come(const struct echo *echo, int fd)
{
	unsigned long long awaited = atomic_load_explicit(&echo->awaited, memory_order_relaxed);
	struct sockaddr_storage destination = {0};
	socklen_t size = sizeof(destination);

	return awaited && getsockname(fd, (struct sockaddr *)&destination, &size) == 0 &&
	       destination.ss_family == AF_INET &&
	       packed((const struct sockaddr_in *)&destination) == awaited;
}

void echo_report(const struct echo *echo)
{
	(void)eventfd_write(echo->fd, 1);
}
