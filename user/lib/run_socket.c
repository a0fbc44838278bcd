// SPDX-License-Identifier: Apache-2.0
#include "lib/run_socket.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/netns.h"
#include "lib/socket_address.h"
#include "lib/util.h"

static uint64_t inode_of(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 ? status.st_ino : 0;
}

uint64_t run_socket_netns(void)
{
	uint64_t number;

	return netns_cookie_own(&number) == 0 ? number : inode_of("/proc/thread-self/ns/net");
}

uint64_t run_socket_netns_of(pid_t pid, uint64_t cookie)
{
	uint64_t number;
	char path[64];

	if (netns_cookie_own(&number) == 0)
		return cookie;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return inode_of(path);
}

int run_socket_path(const char *root, uint64_t netns, const char *kind,
		    char path[RUN_SOCKET_PATH_MAX])
{
	int length = snprintf(path, RUN_SOCKET_PATH_MAX, "%s" RUN_SOCKET_FOLDER "/%" PRIu64 ".%s",
			      root, netns, kind);

	return length < (int)RUN_SOCKET_PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int make_folders(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);
	char *slash;

	if (!copy)
		return -ENOMEM;
	for (slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return 0;
}

int run_socket_listen(const char *path, int type, int backlog)
{
	struct socket_address address;
	_cleanup_close_ int fd = -1;
	struct stat status;
	int error = socket_address_unix(path, &address);

	if (error == 0)
		error = make_folders(path);
	if (error < 0)
		return error;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
		(void)unlink(path);
	/* The file gets the mode of the socket's inode (unix_bind_bsd() in the kernel). */
	if (fchmod(fd, S_IRUSR | S_IWUSR) < 0 ||
	    bind(fd, (const struct sockaddr *)&address.address, address.size) < 0 ||
	    listen(fd, backlog) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int run_socket_connect(const char *path, int type)
{
	struct socket_address address;
	_cleanup_close_ int fd = -1;
	int error = socket_address_unix(path, &address);

	if (error < 0)
		return error;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address.address, address.size) < 0)
		return -errno;
	return TAKE_FD(fd);
}
