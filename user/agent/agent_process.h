/* SPDX-License-Identifier: Apache-2.0 */
/* Finds a process in a network namespace. */
#ifndef SIDESTEP_AGENT_PROCESS_H
#define SIDESTEP_AGENT_PROCESS_H

#include <stdint.h>

/* Returns a descriptor of the namespace with the number @netns, which the caller owns, or -ESRCH:
 * no process is in it. The thread is left in some namespace. */
int agent_process_in(uint32_t netns);

#endif
