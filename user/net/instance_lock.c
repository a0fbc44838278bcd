// SPDX-License-Identifier: Apache-2.0
#include "net/instance_lock.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <linux/netlink.h>

#include "lib/log.h"
#include "lib/util.h"

/* Lists the netlink sockets of the thread's namespace. Anybody may read it. */
#define LIST_PATH "/proc/thread-self/net/netlink"

/* The names of the lock and of the mark that interception is live: a bit for each group. */
#define LOCK_GROUPS 0x51de57e9u
#define LIVE_GROUPS 0x51de11feu

/* A killed predecessor holds the lock until its last file is released. Wait that long. */
#define LOCK_TRIES 25
#define LOCK_WAIT  (&(struct timespec) {.tv_nsec = 20000000})

/* A socket in the list. */
struct listed {
	uint32_t port;
	ino_t inode;
};

/* Reads a line of the list. Returns whether the socket has exactly these groups. */
static bool parse_line(const char *line, uint32_t wanted, struct listed *ret)
{
	unsigned int protocol, port, groups;
	unsigned long inode;

	/* sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode (net/netlink/af_netlink.c). The kernel
	 * prints numbers that fit. */
	/* NOLINTNEXTLINE(cert-err34-c) */
	if (sscanf(line, "%*s %u %u %x %*s %*s %*s %*s %*s %lu", &protocol, &port, &groups,
		   &inode) != 4)
		return false;
	*ret = (struct listed) {.port = port, .inode = (ino_t)inode};
	return protocol == NETLINK_USERSOCK && groups == wanted;
}

/* Looks for sockets other than @own that have these groups. Returns 1 and the one with the lowest
 * port among them, 0: none, or a negative errno. */
static int find_socket(uint32_t groups, ino_t own, struct listed *ret)
{
	_cleanup_fclose_ FILE *list = fopen(LIST_PATH, "re");
	struct listed listed;
	char line[256];
	int found = 0;

	if (!list)
		return -errno;
	while (fgets(line, sizeof(line), list)) {
		if (!parse_line(line, groups, &listed) || listed.inode == own)
			continue;
		if (!found || listed.port < ret->port)
			*ret = listed;
		found = 1;
	}
	return ferror(list) ? -EIO : found;
}

static int find_other(uint32_t groups, ino_t own, uint32_t *ret_port)
{
	struct listed listed = {.port = 0};
	int found = find_socket(groups, own, &listed);

	if (found > 0)
		*ret_port = listed.port;
	return found;
}

/* Tells whether a process with this number is in the calling thread's network namespace. Each
 * namespace has a list of its own. */
static bool in_own_netns(uint32_t pid)
{
	struct stat own, other;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%u/net/netlink", pid);
	return stat(LIST_PATH, &own) == 0 && stat(path, &other) == 0 && own.st_ino == other.st_ino;
}

/*
 * The kernel gives a process's first netlink socket the process's number as its port, as the
 * holder's PID namespace knows it. A taken number gives way to one that is no process's.
 */
static pid_t process_of(uint32_t port)
{
	bool known = port != (uint32_t)getpid() && in_own_netns(port);

	return known ? (pid_t)port : 0;
}

pid_t instance_holder(void)
{
	uint32_t port = 0;

	return find_other(LOCK_GROUPS, 0, &port) == 1 ? process_of(port) : -1;
}

/* Does process @pid have the socket open? */
static bool has_open(pid_t pid, ino_t inode)
{
	_cleanup_closedir_ DIR *files = NULL;
	const struct dirent *entry;
	char path[64], wanted[64], target[64];

	(void)snprintf(wanted, sizeof(wanted), "socket:[%lu]", (unsigned long)inode);
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	files = opendir(path);
	while (files && (entry = readdir(files))) {
		ssize_t size = readlinkat(dirfd(files), entry->d_name, target, sizeof(target) - 1);

		if (size < 0)
			continue;
		target[size] = '\0';
		if (strcmp(target, wanted) == 0)
			return true;
	}
	return false;
}

pid_t instance_holder_search(void)
{
	_cleanup_closedir_ DIR *processes = opendir("/proc");
	struct listed lock = {.inode = 0};
	const struct dirent *entry;
	int found = find_socket(LOCK_GROUPS, 0, &lock);

	if (found <= 0)
		return -1;
	while (processes && (entry = readdir(processes))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0 && in_own_netns((uint32_t)pid) && has_open(pid, lock.inode))
			return pid;
	}
	return 0;
}

/* Opens a socket in no group. */
static int open_socket(struct sockaddr_nl *ret_address, ino_t *ret_inode)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK);
	socklen_t size = sizeof(*ret_address);
	int smallest = 0;
	struct stat status;

	*ret_address = (struct sockaddr_nl) {.nl_family = AF_NETLINK};
	if (fd < 0 || bind(fd, (struct sockaddr *)ret_address, size) < 0 ||
	    getsockname(fd, (struct sockaddr *)ret_address, &size) < 0 || fstat(fd, &status) < 0 ||
	    /* Anybody may send to the groups, and nobody reads here. */
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof(smallest)) < 0)
		return -errno;
	*ret_inode = status.st_ino;
	return TAKE_FD(fd);
}

static int set_groups(int fd, struct sockaddr_nl *address, uint32_t groups)
{
	address->nl_groups = groups;
	return bind(fd, (struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
}

/*
 * Holds the lock once no other socket is in the groups. Each joins first and looks then, so of two
 * the later one sees the other. Among those that start at once the one with the lowest port waits
 * in the groups, and the others leave. Returns 0, -EADDRINUSE and the other's port, or a negative
 * errno.
 */
static int try_lock(int fd, struct sockaddr_nl *address, ino_t inode, uint32_t *ret_other)
{
	int error = set_groups(fd, address, LOCK_GROUPS);
	int found = error < 0 ? error : find_other(LOCK_GROUPS, inode, ret_other);

	if (found <= 0)
		return found;
	error = *ret_other < address->nl_pid ? set_groups(fd, address, 0) : 0;
	return error < 0 ? error : -EADDRINUSE;
}

int instance_lock(void)
{
	struct sockaddr_nl address;
	ino_t inode = 0;
	_cleanup_close_ int fd = open_socket(&address, &inode);
	int i, error = -EADDRINUSE;
	uint32_t other = 0;

	if (fd < 0)
		return log_errno(fd, "cannot create the socket of the instance lock");
	for (i = 0; i < LOCK_TRIES && error == -EADDRINUSE; i++) {
		if (i > 0)
			(void)nanosleep(LOCK_WAIT, NULL);
		error = try_lock(fd, &address, inode, &other);
	}
	if (error == 0)
		return TAKE_FD(fd);
	if (error == -EPERM)
		return log_errno(error, "cannot take the instance lock (this needs CAP_NET_ADMIN: "
					"docker run --cap-add NET_ADMIN)");
	if (error != -EADDRINUSE)
		return log_errno(error, "cannot take the instance lock");
	log_error("another sidestep is running in this network namespace (process %d): "
		  "stop it first, or give this one a namespace of its own",
		  (int)process_of(other));
	return -EADDRINUSE;
}

int instance_mark_live(void)
{
	struct sockaddr_nl address;
	ino_t inode;
	_cleanup_close_ int fd = open_socket(&address, &inode);
	int error = fd < 0 ? fd : set_groups(fd, &address, LIVE_GROUPS);

	return error < 0 ? log_errno(error, "cannot mark this instance as live") : TAKE_FD(fd);
}

int instance_state(enum instance_state *ret_state)
{
	uint32_t port;
	int holder = find_other(LOCK_GROUPS, 0, &port);
	int live = holder > 0 ? find_other(LIVE_GROUPS, 0, &port) : holder;

	if (live < 0)
		return live;
	*ret_state = live ? INSTANCE_LIVE : holder > 0 ? INSTANCE_STARTS : INSTANCE_NONE;
	return 0;
}
