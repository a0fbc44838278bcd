// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_processes.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/util.h"

/* The inode of the first pid namespace (Linux, include/linux/proc_ns.h). */
#define FIRST_PID_NAMESPACE 0xeffffffcU
#define ID_DIGITS	    64

/* Reads a file below /proc/PID. Returns its size, with a NUL behind it, or -1. */
static ssize_t read_file(uint32_t pid, const char *name, char *text, size_t size)
{
	_cleanup_close_ int fd = -1;
	char path[64];
	ssize_t got;

	(void)snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, text, size - 1);
	text[got < 0 ? 0 : got] = '\0';
	return got;
}

/* Is the process with this number the one that started then? proc_pid_stat(5) has the start as the
 * 22nd field, in ticks. The name in front of it may hold any character. */
static bool is_alive(const struct sidestep_process *process)
{
	uint64_t tick_ns = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	char text[1024], *field;
	int i;

	if (read_file(process->pid, "stat", text, sizeof(text)) < 0)
		return false;
	field = strrchr(text, ')');
	for (i = 2; field && i < 22; i++)
		field = strchr(field + 1, ' ');
	return field && strtoull(field + 1, NULL, 10) == process->started / tick_ns;
}

static void read_exe(uint32_t pid, char *exe, size_t size)
{
	char path[64];
	ssize_t length;

	(void)snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	length = readlink(path, exe, size);
	/* A name that is cut is none. */
	exe[length < 0 || (size_t)length == size ? 0 : length] = '\0';
}

/* cgroups(7): the line of version 2 begins with "0::". */
static void read_cgroup(uint32_t pid, char *cgroup, size_t size)
{
	char text[4096], *line, *end;

	cgroup[0] = '\0';
	if (read_file(pid, "cgroup", text, sizeof(text)) < 0)
		return;
	line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (!line)
		return;
	line = strchr(line, '/');
	end = line ? strchr(line, '\n') : NULL;
	if (end && (size_t)(end - line) < size) {
		memcpy(cgroup, line, (size_t)(end - line));
		cgroup[end - line] = '\0';
	}
}

/* False: it is gone. */
static bool look_up(const struct sidestep_process *process, struct agent_process *ret_process)
{
	if (!is_alive(process))
		return false;
	ret_process->pid = process->pid;
	ret_process->started = process->started;
	memcpy(ret_process->comm, process->comm, sizeof(ret_process->comm));
	read_exe(process->pid, ret_process->exe, sizeof(ret_process->exe));
	read_cgroup(process->pid, ret_process->cgroup, sizeof(ret_process->cgroup));
	/* Another process may have got the number meanwhile. */
	return is_alive(process);
}

struct agent_processes *agent_processes_new(void)
{
	struct agent_processes *processes = calloc(1, sizeof(*processes));
	struct stat status;

	if (!processes)
		return NULL;
	(void)pthread_mutex_init(&processes->lock, NULL);
	processes->host = stat("/proc/self/ns/pid", &status) == 0 &&
			  status.st_ino == FIRST_PID_NAMESPACE;
	return processes;
}

static bool is_known(const struct agent_process *slot, const struct sidestep_process *process)
{
	return slot->pid == process->pid && slot->started == process->started &&
	       memcmp(slot->comm, process->comm, sizeof(slot->comm)) == 0;
}

/* The process is in the group of its socket, as the program has checked. */
static void keep_group(struct agent_processes *processes, uint64_t id, const char *path)
{
	struct agent_group *group = &processes->groups[id % AGENT_GROUPS_MAX];

	if (id == 0 || path[0] == '\0')
		return;
	group->id = id;
	memcpy(group->path, path, sizeof(group->path));
}

static bool find_group(const struct agent_processes *processes, uint64_t id,
		       struct agent_process *ret_process)
{
	const struct agent_group *group = &processes->groups[id % AGENT_GROUPS_MAX];

	if (id == 0 || group->id != id)
		return false;
	memset(ret_process, 0, sizeof(*ret_process));
	memcpy(ret_process->cgroup, group->path, sizeof(ret_process->cgroup));
	return true;
}

bool agent_processes_find(struct agent_processes *processes, const struct sidestep_process *process,
			  struct agent_process *ret_process)
{
	struct agent_process *slot = &processes->known[process->pid % AGENT_PROCESSES_MAX];
	bool known, found;

	if (!processes->host || process->pid == 0 || process->started == 0)
		return false;
	(void)pthread_mutex_lock(&processes->lock);
	known = is_known(slot, process);
	found = known || look_up(process, slot);
	if (found)
		*ret_process = *slot;
	else
		slot->started = 0;
	if (!found)
		found = find_group(processes, process->cgroup, ret_process);
	else if (!known)
		keep_group(processes, process->cgroup, slot->cgroup);
	(void)pthread_mutex_unlock(&processes->lock);
	return found;
}

void agent_processes_free(struct agent_processes *processes)
{
	if (!processes)
		return;
	(void)pthread_mutex_destroy(&processes->lock);
	free(processes);
}

bool agent_container_of(const char *cgroup, char ret_id[65])
{
	static const char hexadecimal[] = "0123456789abcdef";

	while (*cgroup) {
		size_t length = strspn(cgroup, hexadecimal);

		if (length == ID_DIGITS) {
			memcpy(ret_id, cgroup, ID_DIGITS);
			ret_id[ID_DIGITS] = '\0';
			return true;
		}
		cgroup += length > 0 ? length : 1;
	}
	return false;
}
