// SPDX-License-Identifier: Apache-2.0
#include "operator/operator_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "lib/run_socket.h"
#include "lib/util.h"
#include "net/instance_lock.h"
#include "operator/operator_wire.h"

/* A sync of the sidecar's takes milliseconds, and seconds on a machine that is busy. */
#define LIMIT_S 10

/* Receives the descriptor of the answer, which becomes the caller's, or returns a negative errno.
 * *@ret_more is the one behind it, likewise, or -1. */
static int receive(int fd, int *ret_more)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control;
	char byte;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.bytes),
	};
	const struct cmsghdr *header;
	int answer;

	*ret_more = -1;
	if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
	    header->cmsg_len < CMSG_LEN(sizeof(int)))
		return -ECONNRESET;
	memcpy(&answer, CMSG_DATA(header), sizeof(answer));
	if (header->cmsg_len == CMSG_LEN(2 * sizeof(int)))
		memcpy(ret_more, CMSG_DATA(header) + sizeof(answer), sizeof(*ret_more));
	return answer;
}

static int ask_at(const char *root, uint64_t netns, const json_t *request, json_t **ret_answer,
		  int *ret_fd)
{
	const struct timeval limit = {.tv_sec = LIMIT_S};
	_cleanup_close_ int fd = -1, answer = -1, more = -1;
	_cleanup_free_ char *text = json_dumps(request, JSON_COMPACT);
	char path[RUN_SOCKET_PATH_MAX];
	int error = run_socket_path(root, netns, OPERATOR_SOCKET, path);

	if (error < 0 || !text)
		return error < 0 ? error : -ENOMEM;
	fd = run_socket_connect(path, SOCK_SEQPACKET);
	if (fd < 0)
		return fd;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return -errno;
	answer = receive(fd, &more);
	if (answer < 0)
		return answer;
	*ret_answer = json_loadfd(answer, 0, NULL);
	if (!*ret_answer)
		return -EBADMSG;
	if (ret_fd)
		*ret_fd = TAKE_FD(more);
	return 0;
}

int operator_ask_here(uint64_t netns, const json_t *request, json_t **ret_answer)
{
	return ask_at("", netns, request, ret_answer, NULL);
}

int operator_ask(const json_t *request, bool elsewhere, json_t **ret_answer, int *ret_fd)
{
	char root[64] = "";
	pid_t holder;

	if (elsewhere) {
		holder = instance_holder_search();
		if (holder <= 0)
			return holder < 0 ? -ENOENT : -EPERM;
		(void)snprintf(root, sizeof(root), "/proc/%d/root", (int)holder);
	}
	return ask_at(root, run_socket_netns(), request, ret_answer, ret_fd);
}
