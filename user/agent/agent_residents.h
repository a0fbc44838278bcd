/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the processes in a network namespace that no process has named yet, and their containers.
 */
#ifndef SIDESTEP_AGENT_RESIDENTS_H
#define SIDESTEP_AGENT_RESIDENTS_H

#include "net/netlink.h"

/*
 * Calls @visit for each process in the namespace that the host's devices know as @nsid. @cgroups is
 * the text of its /proc/PID/cgroup. The engine chooses the control group before the process runs.
 * The thread is in the host's network namespace, in which @netlink was opened. Returns 0 or a
 * negative errno.
 */
int agent_residents_each(struct netlink *netlink, int nsid,
			 void (*visit)(void *context, const char *cgroups), void *context);

/*
 * Finds the next container's id in @text, which is 64 hexadecimal digits with others around. Copies
 * it to @ret_id. Returns the text behind it, or NULL: there is none.
 */
const char *agent_residents_id(const char *text, char ret_id[65]);

#endif
