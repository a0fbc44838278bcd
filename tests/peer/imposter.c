// SPDX-License-Identifier: Apache-2.0
/* Stands at the agent's meeting place in a sidecar's stead, and asks to be let out. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <linux/capability.h>

#include "datapath/agent_wire.h"
#include "events/event.h"
#include "peer.h"

/* A terminal would show the rest of the line in red. */
#define RED "\033[31mred"

/* Opens the meeting place, with a greeting at the agent's end. Returns our end or -errno. */
static int open_meeting(void)
{
	const struct agent_hello greeting = {
		.magic = AGENT_WIRE_MAGIC,
		.wire_version = AGENT_WIRE_VERSION,
		.abi_version = SIDESTEP_ABI_VERSION,
		.version = RED,
	};
	const struct rlimit files = {AGENT_RENDEZVOUS_FD + 1, AGENT_RENDEZVOUS_FD + 1};
	struct rlimit now;
	int pair[2];

	if (getrlimit(RLIMIT_NOFILE, &now) < 0 ||
	    (now.rlim_cur < files.rlim_cur && setrlimit(RLIMIT_NOFILE, &files) < 0) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 ||
	    send(pair[0], &greeting, sizeof(greeting), 0) < 0 ||
	    dup2(pair[1], AGENT_RENDEZVOUS_FD) < 0)
		return -errno;
	return pair[0];
}

/* Waits for the agent's hello. Returns the session or -errno. */
static int take_session(int meeting, int64_t deadline_us)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct agent_hello hello;
	struct iovec data = {&hello, sizeof(hello)};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control.space)};
	int session, error = wait_fd(meeting, POLLIN, deadline_us);

	if (error)
		return error;
	if (recvmsg(meeting, &message, 0) <= 0 || !CMSG_FIRSTHDR(&message))
		return -EPROTO;
	memcpy(&session, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(session));
	return session;
}

/* Sends a request and waits for the reply. Returns the agent's answer or -errno. */
static int ask(int session, struct agent_request request, int64_t deadline_us)
{
	struct agent_reply reply;
	int error;

	request.sequence = 1;
	if (send(session, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		return -errno;
	error = wait_fd(session, POLLIN, deadline_us);
	if (error)
		return error;
	return recv(session, &reply, sizeof(reply), 0) == sizeof(reply) ? reply.error : -EPIPE;
}

/* Bypasses all of IPv4. */
static void ask_for_all(int session, int64_t deadline_us)
{
	const struct prefix all = {.address = {[10] = 0xff, [11] = 0xff}, .length = 96};
	struct agent_request request = {.type = AGENT_NAMESPACE, .namespace = {.gateway = RED}};
	int described = ask(session, request, deadline_us), bypassed;

	request = (struct agent_request) {.type = AGENT_BYPASS_SET, .prefix = all};
	request.bypass.sources = SIDESTEP_FROM_CONNECTED;
	bypassed = ask(session, request, deadline_us);
	request = (struct agent_request) {.type = AGENT_ATTACH};
	printf("asked described=%s bypassed=%s attached=%s\n", error_word(described),
	       error_word(bypassed), error_word(ask(session, request, deadline_us)));
}

/* A request that is sent many times, with @descriptors copies of a descriptor. */
static const struct flood {
	const char *mode; /* NULL: no --mode */
	struct agent_request request;
	size_t descriptors;
} floods[] = {
	{NULL, {.type = AGENT_COMMIT}, 2},
	/* The session is no listener, so each is refused. */
	{"noise", {.type = AGENT_LISTENER, .slot = SIDESTEP_LISTENER_TCP4}, 1},
	{"attach", {.type = AGENT_DEVICE_DETACH, .ifindex = 4711}, 0},
};

/* Sends @count requests, each with copies of @fd. Returns how many left. */
static long send_flood(int session, const struct flood *flood, int fd, long count)
{
	struct agent_request request = flood->request;
	struct iovec data = {&request, sizeof(request)};
	int fds[2] = {fd, fd};
	size_t size = flood->descriptors * sizeof(int);
	union {
		char space[CMSG_SPACE(sizeof(fds))];
		struct cmsghdr align;
	} control = {.space = {0}};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
	long sent = 0;

	if (size > 0) {
		struct cmsghdr *rights = &control.align;

		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(size);
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(size);
		memcpy(CMSG_DATA(rights), fds, size);
	}
	while (sent < count && sendmsg(session, &message, MSG_NOSIGNAL) > 0)
		sent++;
	return sent;
}

static long flood(int session, const struct options *options)
{
	const char *mode = options->mode ? options->mode : "";
	size_t i = 1;

	while (i < sizeof(floods) / sizeof(floods[0]) && strcmp(floods[i].mode, mode) != 0)
		i++;
	return send_flood(session, &floods[i % (sizeof(floods) / sizeof(floods[0]))], session,
			  options->count);
}

/* Reports a DNS event, whose answers would name a container if they were written as they are.
 * Behind it stands a loss of more events than readers of JSON have numbers for. */
static int report_forged(int session)
{
	static const char forged[] =
		"1 \"]},\"container\":{\"id\":\"victim\",\"name\":\"victim\",\"labels\":{}},"
		"\"x\":{\"y\":[\"" RED;
	const struct flood offer = {NULL, {.type = AGENT_EVENTS}, 1};
	const struct event event = {
		.connect_us = EVENT_NEVER,
		.open_us = EVENT_NEVER,
		.first_byte_us = EVENT_NEVER,
		.type = EVENT_DNS,
		.protocol = IPPROTO_UDP,
		.has_ports = true,
	};
	const struct event loss = {.type = EVENT_LOST, .count = UINT64_MAX};
	const uint32_t fixed = offsetof(struct event, text), present = 1u << EVENT_ANSWERS;
	const uint32_t size = fixed + sizeof(present) + sizeof(forged), none = 0;
	const uint32_t loss_size = fixed + sizeof(none);
	struct iovec parts[] = {
		{(void *)&size, sizeof(size)},		 {(void *)&event, fixed},
		{(void *)&present, sizeof(present)},	 {(void *)forged, sizeof(forged)},
		{(void *)&loss_size, sizeof(loss_size)}, {(void *)&loss, fixed},
		{(void *)&none, sizeof(none)},
	};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return -errno;
	if (send_flood(session, &offer, pair[1], 1) != 1)
		return -errno;
	return writev(pair[0], parts, sizeof(parts) / sizeof(parts[0])) < 0 ? -errno : 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[2] = {{0}};

	return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

/* Prints "ready", "session" if the agent offers one, and "asked ..." with the agent's answers. It
 * sends --count requests with two descriptors each, or others with --mode noise or attach. With
 * --mode forge it reports an event. With --mode drop it gives up its capabilities after that. Then
 * it stays until SIGTERM. */
int command_imposter(const struct options *options)
{
	int64_t deadline_us = deadline_from(options, 600);
	int meeting = open_meeting(), session;

	if (meeting < 0) {
		printf("meeting result=%s\n", error_word(meeting));
		return 1;
	}
	puts("ready");
	session = take_session(meeting, deadline_us);
	if (session < 0)
		return 1;
	puts("session");
	ask_for_all(session, deadline_us);
	if (options->count > 0)
		printf("flooded sent=%ld\n", flood(session, options));
	if (options->mode && strcmp(options->mode, "forge") == 0)
		printf("forged result=%s\n", error_word(report_forged(session)));
	if (options->mode && strcmp(options->mode, "drop") == 0)
		printf("dropped result=%s\n", error_word(drop_capabilities()));
	while (!stop_requested && now_us() < deadline_us)
		(void)poll(NULL, 0, 100);
	return 0;
}
