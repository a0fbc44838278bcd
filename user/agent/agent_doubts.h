/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds back what the log says of devices without an outer guard. An engine inside makes veths,
 * both of whose ends look like uplinks until they have their places. The sidecar tells soon after
 * that they lead inside, or that they are gone.
 */
#ifndef SIDESTEP_AGENT_DOUBTS_H
#define SIDESTEP_AGENT_DOUBTS_H

#include <stdint.h>

#include "lib/list.h"
#include "stream/loop.h"

struct agent_doubts {
	struct loop *loop;
	struct list_link all;
	struct loop_timer_class delay_class;
	unsigned int count;
};

void agent_doubts_init(struct agent_doubts *doubts, struct loop *loop);

/* Logs, with the container's @name, that no guard stands outside of the device @ifindex of the
 * namespace @netns, unless agent_doubts_settle() is called within a second. Without memory, or with
 * many devices in doubt, it logs at once. */
void agent_doubts_add(struct agent_doubts *doubts, uint32_t netns, uint32_t ifindex,
		      const char *name);

/* Forgets a device; 0: all devices of the namespace. */
void agent_doubts_settle(struct agent_doubts *doubts, uint32_t netns, uint32_t ifindex);

/* Forgets all of them. */
void agent_doubts_release(struct agent_doubts *doubts);

#endif
