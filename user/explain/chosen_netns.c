// SPDX-License-Identifier: Apache-2.0
#include "explain/chosen_netns.h"

#include <errno.h>
#include <fcntl.h>

#include "docker/docker_container.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "lib/util.h"

static int open_container(const struct chosen_netns *chosen)
{
	struct docker_engine engine;
	pid_t pid;
	int fd;

	if (docker_engine_init(&engine, chosen->docker_socket) < 0)
		return -EINVAL;
	pid = docker_container_process(&engine, chosen->container);
	if (pid < 0)
		return (int)pid;
	fd = netns_open_of(pid);
	return fd < 0 ? log_errno(fd, "cannot open the network namespace of process %d", (int)pid)
		      : fd;
}

static int open_chosen(const struct chosen_netns *chosen)
{
	int fd;

	if (chosen->container && chosen->netns) {
		log_error("--container and --netns exclude each other; leave one of them out");
		return -EINVAL;
	}
	if (chosen->container)
		return open_container(chosen);
	fd = chosen->netns ? open(chosen->netns, O_RDONLY | O_CLOEXEC) : netns_open_own();
	if (fd >= 0)
		return fd;
	return chosen->netns ? log_errno(-errno, "cannot open %s", chosen->netns)
			     : log_errno(fd, "cannot open the network namespace");
}

int chosen_netns_enter(const struct chosen_netns *chosen, int *ret_home)
{
	_cleanup_close_ int fd = open_chosen(chosen), home = -1;
	int error;

	*ret_home = -1;
	if (fd < 0 || (!chosen->container && !chosen->netns))
		return fd < 0 ? fd : TAKE_FD(fd);
	home = netns_open_own();
	error = home < 0 ? home : netns_enter(fd);
	if (error == -EINVAL)
		return log_errno(error, "%s is no network namespace", chosen->netns);
	if (error < 0)
		return log_errno(error,
				 "cannot enter the network namespace (this needs CAP_SYS_ADMIN)");
	*ret_home = TAKE_FD(home);
	return TAKE_FD(fd);
}
