// SPDX-License-Identifier: Apache-2.0
#include "stream/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "lib/util.h"
#include "stream/relay.h"

/* Pause before connecting again to a unix socket whose backlog is full, ms. The kernel wakes nobody
 * who waits for room there. */
#define DIAL_RETRY_MS 5

int dial_announce(const struct dial_announcer *announcer, int fd,
		  const struct sockaddr *destination)
{
	return announcer->announce ? announcer->announce(announcer->context, fd, destination) : 0;
}

int dial_socket(const struct dial_announcer *announcer, const struct sockaddr *destination)
{
	static const int one = 1;
	_cleanup_close_ int fd = socket(destination->sa_family,
					SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	relay_inline_urgent(fd);
	if (destination->sa_family != AF_UNIX) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		error = dial_announce(announcer, fd, destination);
		if (error < 0)
			return error;
		/* A server may bind the port that this connection gets. Set any earlier, it lets
		 * bind(2) choose from half of the range only (inet_csk_find_open_port()). */
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	}
	return TAKE_FD(fd);
}

void dialer_init(struct dialer *dialer, struct loop *loop, unsigned int limit_ms)
{
	dialer->loop = loop;
	loop_timer_class_init(loop, &dialer->limit_class, limit_ms);
	loop_timer_class_init(loop, &dialer->retry_class, DIAL_RETRY_MS);
}

/* Connected or not, the side's first event tells; on loopback it is there already. */
static int dial_try(struct dial *dial)
{
	_cleanup_close_ int fd = TAKE_FD(dial->fd);
	int error;

	if (connect(fd, dial->address, dial->size) < 0 && errno != EINPROGRESS) {
		if (errno != EAGAIN || dial->address->sa_family != AF_UNIX)
			return -errno;
		dial->fd = TAKE_FD(fd);
		loop_timer_start(dial->dialer->loop, &dial->dialer->retry_class, &dial->retry);
		return 0;
	}
	error = loop_add(dial->dialer->loop, dial->side, fd, RELAY_EVENTS);
	if (error == 0)
		(void)TAKE_FD(fd);
	return error;
}

static void dial_over(struct dial *dial, int error)
{
	dial_cancel(dial);
	if (error < 0)
		loop_close(dial->side);
	dial->done(dial, error);
}

static void retry_expired(struct loop_timer *timer)
{
	struct dial *dial = container_of(timer, struct dial, retry);
	int error = dial_try(dial);

	if (error < 0)
		dial_over(dial, error);
}

static void limit_expired(struct loop_timer *timer)
{
	dial_over(container_of(timer, struct dial, limit), -ETIMEDOUT);
}

static void dial_ready(struct loop_handler *side, uint32_t events)
{
	struct dial *dial = side->owner;
	int error = 0;
	socklen_t size = sizeof(error);

	if (!loop_timer_running(&dial->limit))
		return;
	if (events & (EPOLLERR | EPOLLHUP)) {
		(void)getsockopt(side->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		dial_over(dial, error ? -error : -ECONNABORTED);
	} else if (events & EPOLLOUT) {
		dial_over(dial, 0);
	}
}

int dial_start(struct dial *dial, struct dialer *dialer, struct loop_handler *side, int fd,
	       const struct sockaddr *address, socklen_t size)
{
	int error;

	dial->dialer = dialer;
	dial->side = side;
	dial->address = address;
	dial->size = size;
	dial->fd = fd;
	dial->retry.expired = retry_expired;
	dial->limit.expired = limit_expired;
	side->ready = dial_ready;
	side->owner = dial;
	side->latched = 0;
	error = dial_try(dial);
	if (error == 0)
		loop_timer_start(dialer->loop, &dialer->limit_class, &dial->limit);
	return error;
}

void dial_cancel(struct dial *dial)
{
	loop_timer_stop(&dial->limit);
	if (loop_timer_running(&dial->retry)) {
		loop_timer_stop(&dial->retry);
		dial->fd = safe_close(dial->fd);
	}
}
