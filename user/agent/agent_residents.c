// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_residents.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/array.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "net/netlink_link.h"

#define ID_DIGITS 64

/* The namespaces that a walk has met. */
struct met {
	struct netlink *netlink;
	int nsid;
	ino_t wanted;	     /* 0: not met yet */
	struct array others; /* ino_t */
};

static bool is_other(const struct met *met, ino_t inode)
{
	const ino_t *others = met->others.items;
	size_t i;

	for (i = 0; i < met->others.count; i++)
		if (others[i] == inode)
			return true;
	return false;
}

/* Is the process in the wanted namespace? Only the first process of each namespace costs a request.
 */
static bool is_resident(struct met *met, pid_t pid)
{
	_cleanup_close_ int fd = -1;
	struct stat status;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	if (stat(path, &status) < 0 || is_other(met, status.st_ino))
		return false;
	if (met->wanted)
		return status.st_ino == met->wanted;
	fd = netns_open_of(pid);
	/* The process may have gone to another namespace meanwhile. */
	if (fd < 0 || fstat(fd, &status) < 0)
		return false;
	if (netlink_nsid(met->netlink, fd) == met->nsid) {
		met->wanted = status.st_ino;
		return true;
	}
	(void)array_append(&met->others, &status.st_ino);
	return false;
}

static void visit_one(pid_t pid, void (*visit)(void *context, const char *cgroups), void *context)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[64], text[8192];
	size_t size;

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return;
	size = fread(text, 1, sizeof(text) - 1, file);
	text[size] = '\0';
	visit(context, text);
}

int agent_residents_each(struct netlink *netlink, int nsid,
			 void (*visit)(void *context, const char *cgroups), void *context)
{
	struct met met = {.netlink = netlink, .nsid = nsid, .others.size = sizeof(ino_t)};
	_cleanup_closedir_ DIR *proc = opendir("/proc");
	const struct dirent *entry;

	if (!proc)
		return -errno;
	while ((entry = readdir(proc))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0 && is_resident(&met, pid))
			visit_one(pid, visit, context);
	}
	free(met.others.items);
	return 0;
}

const char *agent_residents_id(const char *text, char ret_id[65])
{
	static const char digits[] = "0123456789abcdef";

	while (*text != '\0') {
		size_t length = strspn(text, digits);

		if (length == ID_DIGITS) {
			memcpy(ret_id, text, ID_DIGITS);
			ret_id[ID_DIGITS] = '\0';
			return text + length;
		}
		text += length;
		text += strcspn(text, digits);
	}
	return NULL;
}
