// SPDX-License-Identifier: Apache-2.0
#include "operator/operator_server.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/run_listener.h"
#include "lib/util.h"
#include "operator/operator_wire.h"

/* So many may have connected and not yet asked. The next one takes the oldest one's place. */
#define CLIENTS_MAX 8
/* The listener in the epoll set, where the others are descriptors. */
#define LISTENER UINT32_MAX

struct operator_server {
	operator_handler *handler;
	void *context;
	struct run_listener listener;
	int epoll;
	int clients[CLIENTS_MAX]; /* descriptors, -1: free */
	size_t oldest;
};

int operator_server_open(operator_handler *handler, void *context,
			 struct operator_server **ret_server)
{
	struct operator_server *server = calloc(1, sizeof(*server));
	int error, i;

	if (!server)
		return -ENOMEM;
	server->handler = handler;
	server->context = context;
	server->listener.fd = -1;
	server->listener.reserve = -1;
	for (i = 0; i < CLIENTS_MAX; i++)
		server->clients[i] = -1;
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	error = server->epoll < 0 ? -errno
				  : run_listener_open(&server->listener, OPERATOR_SOCKET,
						      CLIENTS_MAX, server->epoll, LISTENER);
	if (error < 0) {
		operator_server_close(server);
		return error;
	}
	*ret_server = server;
	return 0;
}

void operator_server_close(struct operator_server *server)
{
	int i;

	if (!server)
		return;
	for (i = 0; i < CLIENTS_MAX; i++)
		(void)safe_close(server->clients[i]);
	run_listener_close(&server->listener);
	(void)safe_close(server->epoll);
	free(server);
}

int operator_server_fd(const struct operator_server *server)
{
	return server ? server->epoll : -1;
}

const char *operator_server_path(const struct operator_server *server)
{
	return server ? server->listener.path : NULL;
}

static void take_client(struct operator_server *server)
{
	int *place = &server->clients[server->oldest];
	int fd = run_listener_accept(&server->listener);
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)fd};

	if (fd < 0)
		return;
	(void)safe_close(*place);
	*place = fd;
	server->oldest = (server->oldest + 1) % CLIENTS_MAX;
	if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		*place = safe_close(fd);
}

/* Writes the object to a file in memory. Returns its descriptor, the caller's, or negative errno.
 */
static int write_answer(const json_t *answer)
{
	_cleanup_close_ int fd = memfd_create("answer", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	return json_dumpfd(answer, fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0 ? -EIO : TAKE_FD(fd);
}

/* Sends @answer, and @more unless it is -1. */
static void send_answer(int client, int answer, int more)
{
	const int fds[2] = {answer, more};
	size_t size = (more < 0 ? 1 : 2) * sizeof(int);
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(fds))];
	} control = {.bytes = {0}};
	struct iovec data = {.iov_base = (char[]) {0}, .iov_len = 1};
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(size),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(header), fds, size);
	(void)sendmsg(client, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Reads a client's only request and answers it. A request that cannot be read is an empty object.
 */
static void serve(struct operator_server *server, int client)
{
	char text[OPERATOR_REQUEST_MAX];
	ssize_t size = recv(client, text, sizeof(text), MSG_DONTWAIT);
	json_t *request, *answer;
	int fd, more = -1;

	if (size <= 0)
		return;
	request = json_loadb(text, (size_t)size, 0, NULL);
	answer = server->handler(server->context, request, &more);
	fd = answer ? write_answer(answer) : -1;
	if (fd >= 0)
		send_answer(client, fd, more);
	(void)safe_close(fd);
	json_decref(answer);
	json_decref(request);
}

void operator_server_serve(struct operator_server *server)
{
	struct epoll_event events[CLIENTS_MAX + 1];
	int count = epoll_wait(server->epoll, events, ARRAY_SIZE(events), 0), i, j;

	for (i = 0; i < count; i++) {
		int fd = (int)events[i].data.u32;

		if (events[i].data.u32 == LISTENER) {
			take_client(server);
			continue;
		}
		for (j = 0; j < CLIENTS_MAX; j++) {
			if (server->clients[j] != fd)
				continue;
			serve(server, fd);
			server->clients[j] = safe_close(fd);
		}
	}
}
