// SPDX-License-Identifier: Apache-2.0
#include "stream/acceptor.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "lib/util.h"
#include "stream/relay.h"

/* Connections taken from one listener before other handlers get their turn. */
#define ACCEPT_BURST 32
/* How long a listener rests when not even the reserve descriptor helps, ms. */
#define ACCEPT_PAUSE_MS 10

/* Takes a descriptor if the reserve has none. Returns 0 or negative errno. */
static int reserve_take(struct acceptor_reserve *reserve)
{
	if (reserve->fd < 0)
		reserve->fd = eventfd(0, EFD_CLOEXEC);
	return reserve->fd < 0 ? -errno : 0;
}

int acceptor_reserve_open(struct acceptor_reserve *reserve, struct loop *loop)
{
	int error;

	reserve->loop = loop;
	reserve->fd = -1;
	error = reserve_take(reserve);
	if (error < 0)
		return error;
	loop_timer_class_init(loop, &reserve->pause_class, ACCEPT_PAUSE_MS);
	return 0;
}

void acceptor_reserve_close(struct acceptor_reserve *reserve)
{
	reserve->fd = safe_close(reserve->fd);
}

static void pause_over(struct loop_timer *timer)
{
	struct acceptor *acceptor = container_of(timer, struct acceptor, pause);

	/* Before a connection takes the descriptor that has become free. */
	(void)reserve_take(acceptor->reserve);
	(void)loop_modify(acceptor->reserve->loop, &acceptor->listener, EPOLLIN);
}

/* Hands one connection to exhausted() with the help of the reserve. False: the listener rests. */
static bool accept_with_reserve(struct acceptor *acceptor)
{
	struct acceptor_reserve *reserve = acceptor->reserve;
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	int fd;

	reserve->fd = safe_close(reserve->fd);
	fd = accept4(acceptor->listener.fd, (struct sockaddr *)&peer, &size,
		     SOCK_CLOEXEC | SOCK_NONBLOCK);
	acceptor->exhausted(acceptor, fd, fd < 0 ? NULL : &peer);
	/* Another thread may have been faster. Then the listener rests the next time. */
	(void)reserve_take(reserve);
	if (fd >= 0)
		return true;
	(void)loop_modify(reserve->loop, &acceptor->listener, 0);
	loop_timer_start(reserve->loop, &reserve->pause_class, &acceptor->pause);
	return false;
}

static void listener_ready(struct loop_handler *handler, uint32_t events)
{
	struct acceptor *acceptor = container_of(handler, struct acceptor, listener);
	int i;

	(void)events;
	for (i = 0; i < ACCEPT_BURST; i++) {
		struct sockaddr_storage peer;
		socklen_t size = sizeof(peer);
		int fd = accept4(handler->fd, (struct sockaddr *)&peer, &size,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			acceptor->accepted(acceptor, fd, &peer);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if ((errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) &&
		    !accept_with_reserve(acceptor))
			return;
		/* Any other error belongs to a connection that died in the queue: accept(2). */
	}
}

int acceptor_start(struct acceptor *acceptor, struct acceptor_reserve *reserve, int fd)
{
	int error;

	relay_inline_urgent(fd);
	acceptor->reserve = reserve;
	acceptor->listener.ready = listener_ready;
	acceptor->pause.expired = pause_over;
	error = loop_add(reserve->loop, &acceptor->listener, fd, EPOLLIN);
	if (error < 0)
		(void)safe_close(fd);
	return error;
}

void acceptor_close(struct acceptor *acceptor)
{
	loop_timer_stop(&acceptor->pause);
	loop_close(&acceptor->listener);
}
