// SPDX-License-Identifier: Apache-2.0
#include "lib/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "lib/util.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* include/uapi/asm-generic/socket.h, Linux 5.14 */
#endif

/* NET_NS_INIT_INO of include/uapi/linux/nsfs.h (Linux 6.18). Numbers that the kernel allots begin
 * higher, at 0xF0000000. */
#define INITIAL_INODE 0xEFFFFFF9u

/* Before, that number was an ordinary one. But the setting exists in the initial namespace alone
 * (net/core/sysctl_net_core.c), whatever the PID namespace. */
#define INITIAL_SETTING "/proc/sys/net/core/netdev_max_backlog"

static int open_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int netns_open_own(void)
{
	return open_path("/proc/thread-self/ns/net");
}

int netns_open_of(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return open_path(path);
}

int netns_new(void)
{
	return unshare(CLONE_NEWNET) < 0 ? -errno : netns_open_own();
}

int netns_enter(int netns_fd)
{
	return setns(netns_fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

int netns_cookie_of(int socket_fd, uint64_t *ret_cookie)
{
	uint64_t cookie;
	socklen_t size = sizeof(cookie);

	if (getsockopt(socket_fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0)
		return -errno;
	*ret_cookie = cookie;
	return 0;
}

int netns_cookie_own(uint64_t *ret_cookie)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : netns_cookie_of(fd, ret_cookie);
}

static bool has_fixed_inode(void)
{
	struct utsname name;
	unsigned int major, minor;

	/* NOLINTNEXTLINE(cert-err34-c) The kernel prints numbers that fit. */
	return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 18));
}

bool netns_is_initial(void)
{
	struct stat status;

	if (has_fixed_inode())
		return stat("/proc/thread-self/ns/net", &status) == 0 &&
		       status.st_ino == INITIAL_INODE;
	return access(INITIAL_SETTING, F_OK) == 0;
}
