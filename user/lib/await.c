// SPDX-License-Identifier: Apache-2.0
#include "lib/await.h"

#include <errno.h>
#include <poll.h>

#include "lib/clock.h"
#include "lib/util.h"

int await(int fd, short events, int stop_fd, uint64_t deadline_ms)
{
	struct pollfd polled[] = {{.fd = fd, .events = events}, {.fd = stop_fd, .events = POLLIN}};
	int count;

	do {
		uint64_t now = clock_ms();

		count = poll(polled, ARRAY_SIZE(polled),
			     now < deadline_ms ? (int)(deadline_ms - now) : 0);
	} while (count < 0 && errno == EINTR);
	if (count < 0)
		return -errno;
	if (polled[1].revents)
		return -ECANCELED;
	return count == 0 ? -ETIMEDOUT : 0;
}
