/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the watcher, the agent's process without rights that talks to Docker. */
#ifndef SIDESTEP_AGENT_SPAWN_H
#define SIDESTEP_AGENT_SPAWN_H

#include <sys/types.h>

#include "docker/docker_sidecars.h"

/* A watcher that runs. The descriptors are nonblocking. */
struct agent_spawned {
	pid_t pid;
	int pidfd;
	int news_fd; /* these are the agent's ends, see agent_news.h */
	int asks_fd;
	int log_fd;
};

/*
 * Executes this program anew as `agent-watcher`, in empty network, IPC and pid namespaces and with
 * the descriptors of agent_news.h alone. So it has no copy of this process's memory. It gives up
 * its rights itself, before it does anything else. Until then it only makes system calls, so the
 * caller may have several threads. Returns 0 with *@ret_spawned, whose descriptors are the
 * caller's, or a negative errno.
 */
int agent_spawn(const char *socket_path, const struct docker_patterns *patterns,
		struct agent_spawned *ret_spawned);

#endif
