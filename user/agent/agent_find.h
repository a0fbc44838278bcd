/* SPDX-License-Identifier: Apache-2.0 */
/* Finds a way into a network namespace: a process in it, or a mount that keeps it. */
#ifndef SIDESTEP_AGENT_FIND_H
#define SIDESTEP_AGENT_FIND_H

#include <stdint.h>

/* Returns a descriptor of the namespace with the number @netns, which the caller owns. -ESRCH: no
 * process is in it, and none sees a mount of it. The thread is left in some namespace. */
int agent_find_netns(uint32_t netns);

#endif
