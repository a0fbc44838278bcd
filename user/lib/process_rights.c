// SPDX-License-Identifier: Apache-2.0
#include "lib/process_rights.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <linux/capability.h>
#include <linux/nsfs.h>

#include "lib/util.h"

static int read_effective(pid_t pid, uint64_t *ret_capabilities)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[64], line[256];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? -ESRCH : -errno;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "CapEff: %" SCNx64, ret_capabilities) == 1)
			return 0;
	return -ESRCH;
}

static int open_user_namespace(pid_t pid)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return fd;
}

/* Returns 1 if @user_fd is the owner of @netns_fd or one of the owner's ancestors, else 0. A
 * process in any other user namespace has no rights there, whatever its own capabilities. */
static int check_owner(int user_fd, int netns_fd)
{
	_cleanup_close_ int fd = ioctl(netns_fd, NS_GET_USERNS);
	struct stat wanted, found;

	if (fd < 0 || fstat(user_fd, &wanted) < 0)
		return -errno;
	for (;;) {
		int parent;

		if (fstat(fd, &found) < 0)
			return -errno;
		if (found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino)
			return 1;
		parent = ioctl(fd, NS_GET_PARENT);
		/* EPERM: no parent, or one that the caller cannot see (ioctl_nsfs(2)). */
		if (parent < 0)
			return errno == EPERM ? 0 : -errno;
		(void)safe_close(fd);
		fd = parent;
	}
}

int process_rights_net_admin(int pidfd, pid_t pid, int netns_fd)
{
	_cleanup_close_ int user_fd = open_user_namespace(pid);
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};
	uint64_t effective = 0;
	int error = user_fd < 0 ? user_fd : read_effective(pid, &effective);
	int count = poll(&ended, 1, 0);

	/* If the process still runs, the files read above are its own. */
	if (count != 0)
		return count < 0 ? -errno : -ESRCH;
	if (error < 0)
		return error;
	return effective >> CAP_NET_ADMIN & 1 ? check_owner(user_fd, netns_fd) : 0;
}
