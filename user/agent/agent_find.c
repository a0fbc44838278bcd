// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>
#include <linux/openat2.h>

#include "lib/array.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "programs/programs.h"

struct search {
	uint32_t netns;
	struct array mounts; /* ino_t: the mount namespaces that have been looked at */
};

/* Takes @fd over. Returns it if it is the wanted namespace, or -ESRCH. */
static int examine(const struct search *search, int fd)
{
	_cleanup_close_ int owned = fd;
	uint32_t number;

	if (owned >= 0 && netns_enter(owned) == 0 && programs_netns(&number) == 0 &&
	    number == search->netns)
		return TAKE_FD(owned);
	return -ESRCH;
}

static int find_process(struct search *search, pid_t pid)
{
	return examine(search, netns_open_of(pid));
}

/* Opens a mount of a namespace below @root_fd. A container may have put something else there, and
 * that is not opened. A symlink would lead out of it, and a pipe or a device would act. */
static int open_mount(int root_fd, const char *mount)
{
	const struct open_how how = {
		.flags = O_PATH | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS,
	};
	_cleanup_close_ int found = (int)syscall(SYS_openat2, root_fd, mount, &how, sizeof(how));
	struct statfs status;
	char path[64];

	if (found < 0 || fstatfs(found, &status) < 0 || status.f_type != NSFS_MAGIC)
		return -ESRCH;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", found);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Replaces the octal numbers that mountinfo has for blanks and backslashes. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text != '\0'; text++) {
		if (text[0] == '\\' && text[1] && text[2] && text[3]) {
			*to++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + text[3] - '0');
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/* Returns the place of a mounted network namespace in a line of mountinfo (proc_pid_mountinfo(5)),
 * or NULL. The root of such a mount is "net:[INODE]". */
static char *netns_mount(char *line)
{
	char *save = NULL, *root = strtok_r(line, " ", &save), *mount;
	int i;

	/* Numbers of the mount, its parent and its device stand in front. */
	for (i = 0; i < 3 && root; i++)
		root = strtok_r(NULL, " ", &save);
	mount = root ? strtok_r(NULL, " ", &save) : NULL;
	if (!mount || strncmp(root, "net:[", 5) != 0)
		return NULL;
	unescape(mount);
	return mount;
}

/* Is the mount namespace of the process a new one? */
static bool is_new(struct search *search, pid_t pid)
{
	const ino_t *seen = search->mounts.items;
	struct stat status;
	char path[64];
	size_t i;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	if (stat(path, &status) < 0)
		return false;
	for (i = 0; i < search->mounts.count; i++)
		if (seen[i] == status.st_ino)
			return false;
	return array_append(&search->mounts, &status.st_ino) == 0;
}

/* Looks at the mounts that the process sees, such as those below /run/docker/netns. */
static int find_mount(struct search *search, pid_t pid)
{
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_close_ int root_fd = -1;
	_cleanup_free_ char *line = NULL;
	char path[64], *mount;
	int found = -ESRCH;
	size_t room = 0;

	if (!is_new(search, pid))
		return -ESRCH;
	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)pid);
	file = fopen(path, "re");
	if (root_fd < 0 || !file)
		return -ESRCH;
	while (found < 0 && getline(&line, &room, file) >= 0) {
		mount = netns_mount(line);
		if (mount)
			found = examine(search, open_mount(root_fd, mount));
	}
	return found;
}

static int each_process(struct search *search, int (*find)(struct search *search, pid_t pid))
{
	_cleanup_closedir_ DIR *proc = opendir("/proc");
	const struct dirent *entry;
	int found = -ESRCH;

	if (!proc)
		return -errno;
	while (found < 0 && (entry = readdir(proc)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
			found = find(search, (pid_t)strtol(entry->d_name, NULL, 10));
	return found;
}

int agent_find_netns(uint32_t netns)
{
	struct search search = {.netns = netns, .mounts.size = sizeof(ino_t)};
	int found = each_process(&search, find_process);

	if (found < 0)
		found = each_process(&search, find_mount);
	free(search.mounts.items);
	return found;
}
