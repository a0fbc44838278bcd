/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the program and the control group of the processes that open connections. The
 * agent's programs tell of a process at its first flow, while it is still there (`starters`).
 */
#ifndef SIDESTEP_AGENT_PROCESSES_H
#define SIDESTEP_AGENT_PROCESSES_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "sidestep.h"

/* The latest ones are remembered. Powers of two. */
#define AGENT_PROCESSES_MAX 1024
#define AGENT_GROUPS_MAX    256

#define AGENT_GROUP_PATH_MAX 512

struct agent_process {
	uint64_t started; /* ns, CLOCK_BOOTTIME; 0: none */
	uint32_t pid;	  /* on the host */
	char comm[16];	  /* a process that executes another program gets another name */
	char exe[512];	  /* "": not known */
	char cgroup[AGENT_GROUP_PATH_MAX]; /* of version 2; "": not known */
};

/* The kernel never uses a group's number again (Linux, fs/kernfs/dir.c). */
struct agent_group {
	uint64_t id; /* 0: none */
	char path[AGENT_GROUP_PATH_MAX];
};

struct agent_processes {
	bool host; /* this process sees the host's processes */
	pthread_mutex_t lock;
	struct agent_process known[AGENT_PROCESSES_MAX];
	struct agent_group groups[AGENT_GROUPS_MAX]; /* of these processes */
};

/* NULL: no memory. */
struct agent_processes *agent_processes_new(void);

/* Looks the process up on the host, unless it is known. If it is gone, another one may have told
 * the path of its control group, which then is all that is set. False: nothing is known. Thread
 * safe. */
bool agent_processes_find(struct agent_processes *processes, const struct sidestep_process *process,
			  struct agent_process *ret_process);

void agent_processes_free(struct agent_processes *processes);

/* Finds the id of the container in the path of a control group, as engines name it: 64 hexadecimal
 * digits. The outermost one counts, because a container can make groups below its own. False: the
 * path has none. */
bool agent_container_of(const char *cgroup, char ret_id[65]);

#endif
