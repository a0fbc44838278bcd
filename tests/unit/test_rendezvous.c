// SPDX-License-Identifier: Apache-2.0
/* Tests both ends in one process, by a pidfd of its own, and in two where descriptors pass. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "datapath/rendezvous.h"
#include "lib/util.h"
#include "support/descriptors.h"

#define WAIT_MS 5000

static int self_pidfd;

static const struct agent_hello fitting = {
	.magic = AGENT_WIRE_MAGIC,
	.wire_version = AGENT_WIRE_VERSION,
	.abi_version = SIDESTEP_ABI_VERSION,
	.version = "9.9.9",
};

static int make_self(void **state)
{
	struct rlimit files;

	(void)state;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -1;
	if (files.rlim_cur <= AGENT_RENDEZVOUS_FD) {
		files.rlim_cur = AGENT_RENDEZVOUS_FD + 1;
		if (setrlimit(RLIMIT_NOFILE, &files) < 0)
			return -1;
	}
	self_pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	return self_pidfd < 0 ? -1 : 0;
}

static int close_self(void **state)
{
	(void)state;
	return close(self_pidfd);
}

static int close_rendezvous(void **state)
{
	(void)state;
	(void)close(AGENT_RENDEZVOUS_FD);
	return 0;
}

static int offer_to(int pidfd, struct agent_hello *greeting)
{
	_cleanup_close_ int end = rendezvous_find(pidfd, greeting);

	return end < 0 ? end : rendezvous_offer(end, greeting);
}

static int offer(struct agent_hello *greeting)
{
	memset(greeting, 0, sizeof(*greeting));
	return offer_to(self_pidfd, greeting);
}

/* Makes a rendezvous as another program would, with @greeting at the agent's end. Returns the
 * sidecar's end. */
static int open_by_hand(int type, const void *greeting, size_t size)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair), 0);
	if (size)
		assert_int_equal(send(pair[0], greeting, size, 0), size);
	assert_int_equal(dup2(pair[1], AGENT_RENDEZVOUS_FD), AGENT_RENDEZVOUS_FD);
	assert_int_equal(close(pair[1]), 0);
	return pair[0];
}

/* Plays the sidecar's side of the good path. It takes a session, sends a pipe's end over it, and
 * says "done" when it has the answer. Its exit status names the step that failed. */
static int sidecar_process(int ready)
{
	struct agent_request request = {.type = AGENT_OWN_SOCKET, .sequence = 7};
	struct agent_reply reply;
	struct pollfd event = {.events = POLLIN};
	int pair[2], session, fd;

	event.fd = rendezvous_open();
	if (event.fd < 0 || write(ready, "r", 1) != 1)
		return 1;
	if (poll(&event, 1, WAIT_MS) != 1)
		return 2;
	session = rendezvous_accept(event.fd);
	if (session < 0)
		return 3;
	if (pipe(pair) < 0 || rendezvous_send(session, &request, sizeof(request), pair[1], 0) < 0)
		return 4;
	(void)close(pair[1]);
	if (rendezvous_receive(session, &reply, sizeof(reply), &fd, 0) != sizeof(reply) ||
	    fd != -1 || reply.sequence != 7 || reply.error != -ENOSPC)
		return 5;
	/* The agent had the descriptor, wrote to it and closed it. */
	if (read(pair[0], &reply, 5) != 5 || memcmp(&reply, "hello", 5) != 0)
		return 6;
	return 0;
}

static void test_session_between_processes(void **state)
{
	struct agent_reply reply = {.sequence = 7, .error = -ENOSPC};
	struct agent_hello greeting = {0};
	struct agent_request request;
	int ready[2], pidfd, session, fd, status;
	char byte;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(sidecar_process(ready[1]));
	assert_int_equal(close(ready[1]), 0);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	assert_true(pidfd >= 0);

	session = offer_to(pidfd, &greeting);
	assert_true(session >= 0);
	assert_string_equal(greeting.version, SIDESTEP_VERSION);
	assert_int_equal(greeting.wire_version, AGENT_WIRE_VERSION);
	assert_int_equal(rendezvous_receive(session, &request, sizeof(request), &fd, 0),
			 sizeof(request));
	assert_int_equal(request.type, AGENT_OWN_SOCKET);
	assert_int_equal(request.sequence, 7);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(fd, "hello", 5), 5);
	assert_int_equal(close(fd), 0);
	assert_int_equal(rendezvous_send(session, &reply, sizeof(reply), -1, 0), 0);

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	/* The sidecar's end is told. Later the agent learns that the process is gone. */
	assert_int_equal(rendezvous_receive(session, &request, sizeof(request), &fd, 0), -EPIPE);
	assert_int_equal(rendezvous_send(session, &reply, sizeof(reply), -1, 0), -EPIPE);
	assert_int_equal(offer_to(pidfd, &greeting), -ESRCH);
	assert_int_equal(close(session), 0);
	assert_int_equal(close(pidfd), 0);
	assert_int_equal(close(ready[0]), 0);
}

static void test_greeting_stays_for_the_next_agent(void **state)
{
	struct agent_hello greeting;
	int own = rendezvous_open(), i;

	(void)state;
	assert_true(own >= 0);
	assert_int_equal(rendezvous_accept(own), -EAGAIN);
	for (i = 0; i < 3; i++) {
		int session = offer(&greeting), other;

		assert_true(session >= 0);
		other = rendezvous_accept(own);
		assert_true(other >= 0);
		assert_true(fcntl(other, F_GETFD) & FD_CLOEXEC);
		assert_int_equal(close(other), 0);
		assert_int_equal(close(session), 0);
	}
	assert_int_equal(close(own), 0);
}

static void test_nothing_opened(void **state)
{
	struct agent_hello greeting;

	(void)state;
	assert_int_equal(offer(&greeting), -EAGAIN);
}

/* Offers to a sidecar of another version: it is told ours, and gets no session. */
static void refused_by_agent(const struct agent_hello *other)
{
	int own = open_by_hand(SOCK_SEQPACKET, other, sizeof(*other)), fd;
	struct agent_hello told;

	assert_int_equal(offer(&told), -EPROTO);
	assert_int_equal(told.wire_version, other->wire_version);
	assert_int_equal(told.abi_version, other->abi_version);
	assert_memory_equal(told.version, other->version, sizeof(told.version) - 1);
	assert_int_equal(told.version[sizeof(told.version) - 1], 0);
	assert_int_equal(rendezvous_receive(own, &told, sizeof(told), &fd, MSG_DONTWAIT),
			 sizeof(told));
	assert_int_equal(fd, -1);
	assert_int_equal(told.magic, AGENT_WIRE_MAGIC);
	assert_int_equal(told.wire_version, AGENT_WIRE_VERSION);
	assert_int_equal(told.abi_version, SIDESTEP_ABI_VERSION);
	assert_string_equal(told.version, SIDESTEP_VERSION);
	assert_int_equal(close(own), 0);
}

static void test_agent_refuses_another_version(void **state)
{
	struct agent_hello other = fitting;

	(void)state;
	other.wire_version++;
	refused_by_agent(&other);
	other = fitting;
	other.abi_version++;
	refused_by_agent(&other);
	/* A version without a NUL is not read past its end. */
	memset(other.version, 'x', sizeof(other.version));
	refused_by_agent(&other);
}

/* Sends @hello with or without a descriptor. Returns the result of the sidecar's side. */
static int accept_of(const void *hello, size_t size, bool with_session)
{
	int own = rendezvous_open(), pair[2], result;

	assert_true(own >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(rendezvous_send(AGENT_RENDEZVOUS_FD, hello, size,
					 with_session ? pair[1] : -1, 0),
			 0);
	assert_int_equal(close(pair[1]), 0);
	result = rendezvous_accept(own);
	/* A refused descriptor is closed. */
	if (result < 0)
		assert_int_equal(recv(pair[0], &(char) {0}, 1, MSG_DONTWAIT), 0);
	else
		assert_int_equal(close(result), 0);
	assert_int_equal(close(pair[0]), 0);
	assert_int_equal(close(own), 0);
	return result < 0 ? result : 0;
}

static void test_sidecar_refuses_another_version(void **state)
{
	struct agent_hello hello = fitting;

	(void)state;
	assert_int_equal(accept_of(&hello, sizeof(hello), true), 0);
	hello.wire_version++;
	assert_int_equal(accept_of(&hello, sizeof(hello), true), -EPROTO);
	assert_int_equal(accept_of(&hello, sizeof(hello), false), -EPROTO);
	hello = fitting;
	hello.abi_version++;
	memset(hello.version, 'x', sizeof(hello.version));
	assert_int_equal(accept_of(&hello, sizeof(hello), true), -EPROTO);
}

static void test_sidecar_refuses_what_is_no_hello(void **state)
{
	struct agent_hello hello = fitting;
	char longer[sizeof(hello) + 1] = {0};

	(void)state;
	assert_int_equal(accept_of(&hello, sizeof(hello), false), -EBADMSG);
	assert_int_equal(accept_of(&hello, sizeof(hello) - 1, true), -EBADMSG);
	memcpy(longer, &hello, sizeof(hello));
	assert_int_equal(accept_of(longer, sizeof(longer), true), -EMSGSIZE);
	hello.magic++;
	assert_int_equal(accept_of(&hello, sizeof(hello), true), -EBADMSG);
}

static void test_something_else_is_there(void **state)
{
	struct agent_hello greeting, other = fitting;
	struct stat before, after;
	int fd;

	(void)state;
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(dup2(fd, AGENT_RENDEZVOUS_FD), AGENT_RENDEZVOUS_FD);
	assert_int_equal(offer(&greeting), -ENOTSUP);
	assert_int_equal(close(fd), 0);

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(dup2(fd, AGENT_RENDEZVOUS_FD), AGENT_RENDEZVOUS_FD);
	assert_int_equal(offer(&greeting), -ENOTSUP);
	assert_int_equal(close(fd), 0);

	fd = open_by_hand(SOCK_STREAM, &fitting, sizeof(fitting));
	assert_int_equal(offer(&greeting), -ENOTSUP);
	assert_int_equal(close(fd), 0);

	/* A silent peer, or one with another greeting: the agent neither waits nor takes it. */
	fd = open_by_hand(SOCK_SEQPACKET, NULL, 0);
	assert_int_equal(offer(&greeting), -ENOTSUP);
	assert_int_equal(close(fd), 0);
	other.magic++;
	fd = open_by_hand(SOCK_SEQPACKET, &other, sizeof(other));
	assert_int_equal(fstat(AGENT_RENDEZVOUS_FD, &before), 0);
	assert_int_equal(offer(&greeting), -ENOTSUP);
	assert_int_equal(fstat(AGENT_RENDEZVOUS_FD, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(recv(AGENT_RENDEZVOUS_FD, &greeting, sizeof(greeting), MSG_DONTWAIT),
			 sizeof(greeting));
	assert_int_equal(recv(fd, &greeting, sizeof(greeting), MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(close(fd), 0);
}

/* Returns the number of open descriptors. */
static int count_open(void)
{
	int count = 0, fd;

	for (fd = 0; fd < 4096; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Sends a message with @count descriptors, as many as the kernel passes at once (SCM_MAX_FD). */
static void send_descriptors(int fd, int count)
{
	union {
		char space[CMSG_SPACE(253 * sizeof(int))];
		struct cmsghdr align;
	} control = {.space = {0}};
	char byte = 'x';
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = CMSG_SPACE((size_t)count * sizeof(int))};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	int i;

	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
	for (i = 0; i < count; i++)
		memcpy(CMSG_DATA(rights) + (size_t)i * sizeof(int), &fd, sizeof(fd));
	assert_int_equal(sendmsg(fd, &message, 0), 1);
}

static void test_more_than_one_descriptor(void **state)
{
	static const int counts[] = {2, 3, 253};
	int pair[2], before, fd;
	size_t i;
	char byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	before = count_open();
	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		send_descriptors(pair[0], counts[i]);
		assert_int_equal(rendezvous_receive(pair[1], &byte, 1, &fd, MSG_DONTWAIT),
				 -EMSGSIZE);
		assert_int_equal(fd, -1);
		assert_int_equal(count_open(), before);
	}
	/* A message without data ends the session, and its descriptor is closed as well. */
	assert_int_equal(rendezvous_send(pair[0], "", 0, pair[0], 0), 0);
	assert_int_equal(rendezvous_receive(pair[1], &byte, 1, &fd, MSG_DONTWAIT), -EPIPE);
	assert_int_equal(count_open(), before);
	assert_int_equal(close(pair[0]), 0);
	assert_int_equal(close(pair[1]), 0);
}

/* At the limit of open files, the agent neither loses a request nor takes its sidecar for gone. */
static void test_no_free_descriptor(void **state)
{
	rlim_t before;
	struct agent_hello greeting;
	int pair[2], own = rendezvous_open(), fd, received, found;
	char byte = 0;

	(void)state;
	assert_true(own >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	send_descriptors(pair[0], 1);
	before = limit_descriptors(0);
	received = rendezvous_receive(pair[1], &byte, 1, &fd, MSG_DONTWAIT);
	found = rendezvous_find(self_pidfd, &greeting);
	(void)limit_descriptors(before);
	assert_int_equal(received, 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(fd, -EMFILE);
	assert_int_equal(found, -EMFILE);
	assert_int_equal(close(own), 0);
	assert_int_equal(close(pair[0]), 0);
	assert_int_equal(close(pair[1]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_between_processes),
		cmocka_unit_test_teardown(test_greeting_stays_for_the_next_agent, close_rendezvous),
		cmocka_unit_test(test_nothing_opened),
		cmocka_unit_test_teardown(test_agent_refuses_another_version, close_rendezvous),
		cmocka_unit_test_teardown(test_sidecar_refuses_another_version, close_rendezvous),
		cmocka_unit_test_teardown(test_sidecar_refuses_what_is_no_hello, close_rendezvous),
		cmocka_unit_test_teardown(test_something_else_is_there, close_rendezvous),
		cmocka_unit_test(test_more_than_one_descriptor),
		cmocka_unit_test_teardown(test_no_free_descriptor, close_rendezvous),
	};

	return cmocka_run_group_tests(tests, make_self, close_self);
}
