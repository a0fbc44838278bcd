// SPDX-License-Identifier: Apache-2.0
#include "lib/run_listener.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/util.h"

/* Has the set report the listener once. */
static int arm(const struct run_listener *listener, int operation)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = listener->data};

	return epoll_ctl(listener->epoll, operation, listener->fd, &event) < 0 ? -errno : 0;
}

static int reserve_take(struct run_listener *listener)
{
	if (listener->reserve < 0)
		listener->reserve = eventfd(0, EFD_CLOEXEC);
	return listener->reserve < 0 ? -errno : 0;
}

int run_listener_open(struct run_listener *listener, const char *kind, int backlog, int epoll,
		      uint32_t data)
{
	int error;

	*listener = (struct run_listener) {.fd = -1, .epoll = epoll, .reserve = -1, .data = data};
	error = run_socket_path("", run_socket_netns(), kind, listener->path);
	if (error == 0)
		error = reserve_take(listener);
	if (error == 0)
		error = listener->fd = run_socket_listen(listener->path, SOCK_SEQPACKET, backlog);
	return error < 0 ? error : arm(listener, EPOLL_CTL_ADD);
}

static int take(const struct run_listener *listener)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

/* Closes one client's connection. Returns -ECONNREFUSED, or another negative errno if that cannot
 * be done either. */
static int refuse(struct run_listener *listener)
{
	int fd;

	listener->reserve = safe_close(listener->reserve);
	fd = take(listener);
	(void)safe_close(fd);
	(void)reserve_take(listener);
	return fd < 0 ? fd : -ECONNREFUSED;
}

int run_listener_accept(struct run_listener *listener)
{
	int fd = take(listener);

	if (fd == -EMFILE || fd == -ENFILE)
		fd = refuse(listener);
	/* Only the next client ends a rest. */
	if (fd != -EMFILE && fd != -ENFILE)
		(void)arm(listener, EPOLL_CTL_MOD);
	return fd;
}

void run_listener_close(struct run_listener *listener)
{
	if (listener->fd >= 0)
		(void)unlink(listener->path);
	listener->fd = safe_close(listener->fd);
	listener->reserve = safe_close(listener->reserve);
}
