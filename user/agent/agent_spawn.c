// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <linux/sched.h>

#include "lib/log.h"
#include "lib/util.h"

/* Log, news and asks. */
#define PAIRS 3

/* Above all of the helper's descriptors, so that none is overwritten before it is moved. */
#define HIGH_FD 16

struct pairs {
	int agent[PAIRS];
	int helper[PAIRS];
};

static void pairs_close(struct pairs *pairs)
{
	size_t i;

	for (i = 0; i < PAIRS; i++) {
		pairs->agent[i] = safe_close(pairs->agent[i]);
		pairs->helper[i] = safe_close(pairs->helper[i]);
	}
}

static int pairs_open(struct pairs *pairs)
{
	size_t i;

	for (i = 0; i < PAIRS; i++) {
		int ends[2];

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
			return -errno;
		pairs->agent[i] = ends[0];
		pairs->helper[i] = ends[1];
		/* The helper waits, the agent never does. */
		if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
			return -errno;
	}
	return 0;
}

/* Moves the descriptors to their places. Returns 0 or -1 with errno. */
static int move_descriptors(const struct pairs *pairs, int listener_fd)
{
	const int from[] = {pairs->helper[0], pairs->helper[1], pairs->helper[2], listener_fd};
	static const int places[] = {AGENT_HELPER_LOG_FD, AGENT_HELPER_NEWS_FD,
				     AGENT_HELPER_ASKS_FD, AGENT_HELPER_LISTENER_FD};
	const size_t count = listener_fd < 0 ? PAIRS : ARRAY_SIZE(places);
	int high[ARRAY_SIZE(places)], null;
	size_t i;

	for (i = 0; i < count; i++) {
		high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, HIGH_FD);
		if (high[i] < 0)
			return -1;
	}
	for (i = 0; i < count; i++)
		if (dup2(high[i], places[i]) < 0)
			return -1;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return -1;
	return close_range((unsigned int)places[count - 1] + 1, ~0U, 0);
}

/* Becomes the helper. */
static void __attribute__((noreturn))
execute(const struct pairs *pairs, const struct agent_spawn_config *config)
{
	static const char failed[] = "sidestep: error: cannot execute a helper of the agent\n";
	static char *const environment[] = {NULL};

	if (move_descriptors(pairs, config->listener_fd) == 0)
		(void)execve("/proc/self/exe", config->arguments, environment);
	/* The log's lock may be another thread's, which this process does not have. */
	(void)!write(AGENT_HELPER_LOG_FD, failed, sizeof(failed) - 1);
	_exit(EXIT_FAILURE);
}

/* Returns what clone(2) returns. glibc's fork() has no flags. systemd's RestrictNamespaces= refuses
 * clone3(2), whose flags no filter sees. The helpers' sandboxes have no call for System V IPC. */
static pid_t clone_process(bool network, int *ret_pidfd)
{
	const unsigned long flags = CLONE_PIDFD | CLONE_NEWPID | SIGCHLD |
				    (network ? 0UL : (unsigned long)CLONE_NEWNET);

	return (pid_t)syscall(SYS_clone, flags, NULL, ret_pidfd, NULL, NULL);
}

int agent_spawn(const struct agent_spawn_config *config, struct agent_spawned *ret_spawned)
{
	struct pairs pairs = {{-1, -1, -1}, {-1, -1, -1}};
	int error = pairs_open(&pairs), pidfd = -1;
	pid_t pid;

	if (error < 0) {
		pairs_close(&pairs);
		return error;
	}
	pid = clone_process(config->network, &pidfd);
	if (pid == 0)
		execute(&pairs, config);
	error = pid < 0 ? -errno : 0;
	if (error == 0)
		*ret_spawned = (struct agent_spawned) {
			.pid = pid,
			.pidfd = pidfd,
			.log_fd = TAKE_FD(pairs.agent[0]),
			.news_fd = TAKE_FD(pairs.agent[1]),
			.asks_fd = TAKE_FD(pairs.agent[2]),
		};
	pairs_close(&pairs);
	return error;
}

bool agent_spawned(void)
{
	int type = 0;
	socklen_t size = sizeof(type);

	return getsockopt(AGENT_HELPER_ASKS_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
	       type == SOCK_SEQPACKET;
}
