// SPDX-License-Identifier: Apache-2.0
#include "datapath/rendezvous.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "lib/log.h"
#include "lib/util.h"

int rendezvous_send(int session, const void *message, size_t size, int fd, int flags)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {.space = {0}};
	struct iovec data = {.iov_len = size};
	struct msghdr header = {.msg_iov = &data, .msg_iovlen = 1};
	ssize_t sent;

	/* sendmsg(2) does not write to it. */
	memcpy(&data.iov_base, &message, sizeof(message));

	if (fd >= 0) {
		struct cmsghdr *rights;

		header.msg_control = &control;
		header.msg_controllen = sizeof(control.space);
		rights = CMSG_FIRSTHDR(&header);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
	}
	do {
		sent = sendmsg(session, &header, MSG_NOSIGNAL | flags);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return 0;
}

int rendezvous_receive(int session, void *message, size_t size, int *ret_fd, int flags)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec data = {.iov_base = message, .iov_len = size};
	/* CMSG_SPACE() would have room for a second descriptor. The kernel opens only those that
	 * fit and sets MSG_CTRUNC if there were more (scm_detach_fds(), net/core/scm.c). */
	struct msghdr header = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = CMSG_LEN(sizeof(int)),
	};
	struct cmsghdr *rights;
	ssize_t got;

	*ret_fd = -1;
	do {
		got = recvmsg(session, &header, MSG_CMSG_CLOEXEC | flags);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	rights = CMSG_FIRSTHDR(&header);
	if (rights && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS &&
	    rights->cmsg_len == CMSG_LEN(sizeof(*ret_fd)))
		memcpy(ret_fd, CMSG_DATA(rights), sizeof(*ret_fd));
	if (got == 0 || header.msg_flags & MSG_TRUNC ||
	    (*ret_fd >= 0 && header.msg_flags & MSG_CTRUNC)) {
		*ret_fd = safe_close(*ret_fd);
		return got == 0 ? -EPIPE : -EMSGSIZE;
	}
	if (header.msg_flags & MSG_CTRUNC)
		*ret_fd = -EMFILE;
	return (int)got;
}

static const struct agent_hello own_hello = {
	.magic = AGENT_WIRE_MAGIC,
	.wire_version = AGENT_WIRE_VERSION,
	.abi_version = SIDESTEP_ABI_VERSION,
	.version = SIDESTEP_VERSION,
};

static bool fits(const struct agent_hello *hello)
{
	return hello->wire_version == own_hello.wire_version &&
	       hello->abi_version == own_hello.abi_version;
}

int rendezvous_open(void)
{
	_cleanup_close_ int own = -1;
	int pair[2], error, high;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	own = pair[0];
	/* An agent that finds the descriptor finds the greeting, too. */
	error = rendezvous_send(own, &own_hello, sizeof(own_hello), -1, 0);
	high = error == 0 ? dup3(pair[1], AGENT_RENDEZVOUS_FD, O_CLOEXEC) : -1;
	if (error == 0 && high < 0)
		error = -errno;
	(void)safe_close(pair[1]);
	return error < 0 ? error : TAKE_FD(own);
}

int rendezvous_accept(int fd)
{
	struct agent_hello hello = {0};
	_cleanup_close_ int session = -1;
	int size = rendezvous_receive(fd, &hello, sizeof(hello), &session, MSG_DONTWAIT);

	if (size < 0)
		return size;
	if (size != sizeof(hello) || hello.magic != AGENT_WIRE_MAGIC)
		return log_errno(-EBADMSG, "the message from the host's agent is not understood");
	if (!fits(&hello))
		return log_errno(
			-EPROTO,
			"the host's agent is sidestep %.16s (protocol %u, maps %u), this is %s "
			"(%d, %d): run one version of both",
			hello.version, hello.wire_version, hello.abi_version, SIDESTEP_VERSION,
			AGENT_WIRE_VERSION, SIDESTEP_ABI_VERSION);
	return session < 0 ? -EBADMSG : TAKE_FD(session);
}

/* Takes the agent's end out of the other process. */
static int take_end(int pidfd)
{
	int domain = 0, type = 0;
	socklen_t size = sizeof(int);
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_getfd, pidfd, AGENT_RENDEZVOUS_FD, 0);

	if (fd < 0)
		return errno == EBADF ? -EAGAIN : -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_UNIX ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_SEQPACKET)
		return -ENOTSUP;
	return TAKE_FD(fd);
}

int rendezvous_find(int pidfd, struct agent_hello *ret_greeting)
{
	_cleanup_close_ int end = take_end(pidfd);
	struct agent_hello greeting = {0};

	if (end < 0)
		return end;
	/* It stays there for an agent that comes after this one. */
	if (recv(end, &greeting, sizeof(greeting), MSG_PEEK | MSG_DONTWAIT) !=
		    (ssize_t)sizeof(greeting) ||
	    greeting.magic != AGENT_WIRE_MAGIC)
		return -ENOTSUP;
	greeting.version[sizeof(greeting.version) - 1] = '\0';
	*ret_greeting = greeting;
	return TAKE_FD(end);
}

int rendezvous_offer(int end, const struct agent_hello *greeting)
{
	_cleanup_close_ int own = -1, other = -1;
	int pair[2], error;

	if (!fits(greeting)) {
		(void)rendezvous_send(end, &own_hello, sizeof(own_hello), -1, MSG_DONTWAIT);
		return -EPROTO;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	own = pair[0];
	other = pair[1];
	error = rendezvous_send(end, &own_hello, sizeof(own_hello), other, MSG_DONTWAIT);
	return error < 0 ? error : TAKE_FD(own);
}
