/* SPDX-License-Identifier: Apache-2.0 */
/* Starts a helper of the agent: a process without rights that handles what strangers send. */
#ifndef SIDESTEP_AGENT_SPAWN_H
#define SIDESTEP_AGENT_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

/* The helper's descriptors. It has no others when it starts, but standard input and output. The
 * first three are SOCK_SEQPACKET sockets. */
#define AGENT_HELPER_LOG_FD	 2 /* lines of lib/log.h, one in each packet */
#define AGENT_HELPER_NEWS_FD	 3
#define AGENT_HELPER_ASKS_FD	 4 /* the helper asks, and the agent answers */
#define AGENT_HELPER_LISTENER_FD 5 /* not every helper has one */

struct agent_spawn_config {
	char *const *arguments; /* the program's name, the command and more; NULL behind them */
	bool network;		/* it has the agent's network namespace, not an empty one */
	int listener_fd;	/* stays the caller's; -1: none */
};

/* A helper that runs. The descriptors are nonblocking. */
struct agent_spawned {
	pid_t pid;
	int pidfd;
	int log_fd; /* these are the agent's ends */
	int news_fd;
	int asks_fd;
};

/*
 * Executes this program anew as a helper, in an empty pid namespace and with the descriptors
 * above alone. So it has no copy of this process's memory. It gives up its rights itself, before
 * its first input from a stranger. Until it is executed it only makes system calls, so the caller
 * may have several threads. Returns 0 with *@ret_spawned, whose descriptors are the caller's, or a
 * negative errno.
 */
int agent_spawn(const struct agent_spawn_config *config, struct agent_spawned *ret_spawned);

/* Tells in a helper whether the agent has started it. */
bool agent_spawned(void);

#endif
