// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <linux/sched.h>

#include "agent/agent_news.h"
#include "lib/log.h"
#include "lib/util.h"

/* The watcher's log, news and asks. */
#define PAIRS 3

/* The program, the command, the log level, the socket, the number of matches, and NULL. */
#define ARGUMENTS 6

/* Above all of the watcher's descriptors, so that none is overwritten before it is moved. */
#define HIGH_FD 16

struct pairs {
	int agent[PAIRS];
	int watcher[PAIRS];
};

static void pairs_close(struct pairs *pairs)
{
	size_t i;

	for (i = 0; i < PAIRS; i++) {
		pairs->agent[i] = safe_close(pairs->agent[i]);
		pairs->watcher[i] = safe_close(pairs->watcher[i]);
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
		pairs->watcher[i] = ends[1];
		/* The watcher waits, the agent never does. */
		if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
			return -errno;
	}
	return 0;
}

/* Moves the descriptors to their places. Returns 0 or -1 with errno. */
static int move_descriptors(const struct pairs *pairs)
{
	static const int places[PAIRS] = {AGENT_WATCHER_LOG_FD, AGENT_WATCHER_NEWS_FD,
					  AGENT_WATCHER_ASKS_FD};
	int high[PAIRS], null;
	size_t i;

	for (i = 0; i < PAIRS; i++) {
		high[i] = fcntl(pairs->watcher[i], F_DUPFD_CLOEXEC, HIGH_FD);
		if (high[i] < 0)
			return -1;
	}
	for (i = 0; i < PAIRS; i++)
		if (dup2(high[i], places[i]) < 0)
			return -1;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return -1;
	return close_range(AGENT_WATCHER_ASKS_FD + 1, ~0U, 0);
}

/* Becomes the watcher. */
static void __attribute__((noreturn)) execute(const struct pairs *pairs, char *const *arguments)
{
	static const char failed[] = "sidestep: error: cannot execute the watcher\n";
	static char *const environment[] = {NULL};

	if (move_descriptors(pairs) == 0)
		(void)execve("/proc/self/exe", arguments, environment);
	/* The log's lock may be another thread's, which this process does not have. */
	(void)!write(AGENT_WATCHER_LOG_FD, failed, sizeof(failed) - 1);
	_exit(EXIT_FAILURE);
}

/* Returns what clone(2) returns. glibc's fork() has no flags. systemd's RestrictNamespaces= refuses
 * clone3(2), whose flags no filter sees. The watcher's sandbox has no call for System V IPC. */
static pid_t clone_process(int *ret_pidfd)
{
	const unsigned long flags = CLONE_PIDFD | CLONE_NEWNET | CLONE_NEWPID | SIGCHLD;

	return (pid_t)syscall(SYS_clone, flags, NULL, ret_pidfd, NULL, NULL);
}

int agent_spawn(const char *socket_path, const struct docker_patterns *patterns,
		struct agent_spawned *ret_spawned)
{
	static char program[] = "sidestep", command[] = "agent-watcher";
	struct pairs pairs = {{-1, -1, -1}, {-1, -1, -1}};
	size_t matches = patterns->match_count, guards = patterns->guard_count;
	_cleanup_free_ char **arguments = calloc(ARGUMENTS + matches + guards, sizeof(*arguments));
	char level[] = {(char)('0' + log_level()), '\0'}, count[24];
	int error = arguments ? pairs_open(&pairs) : -ENOMEM, pidfd = -1;
	pid_t pid;

	if (error < 0) {
		pairs_close(&pairs);
		return error;
	}
	arguments[0] = program;
	arguments[1] = command;
	arguments[2] = level;
	/* execve(2) does not change them. */
	memcpy(&arguments[3], &socket_path, sizeof(socket_path));
	(void)snprintf(count, sizeof(count), "%zu", matches);
	arguments[4] = count;
	if (matches > 0)
		memcpy(&arguments[5], patterns->matches, matches * sizeof(*arguments));
	if (guards > 0)
		memcpy(&arguments[5 + matches], patterns->guards, guards * sizeof(*arguments));
	pid = clone_process(&pidfd);
	if (pid == 0)
		execute(&pairs, arguments);
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
