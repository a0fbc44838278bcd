/* SPDX-License-Identifier: Apache-2.0 */
/* Tells the service manager that the agent is ready, that it lives, and that it stops
 * (sd_notify(3)). */
#ifndef SIDESTEP_AGENT_NOTIFY_H
#define SIDESTEP_AGENT_NOTIFY_H

#include "stream/loop.h"

struct agent_notify {
	struct loop *loop;
	int fd; /* connected to the manager; -1: there is none */
	struct loop_timer_class pace;
	struct loop_timer timer;
};

/* Says READY=1 where the environment names a socket (NOTIFY_SOCKET). Then says WATCHDOG=1 twice in
 * each WATCHDOG_USEC, from the loop. Failures are logged, and the agent works without the manager.
 */
void agent_notify_start(struct agent_notify *notify, struct loop *loop);

/* Says STOPPING=1, and closes. Allowed for one with fd -1 that was not started. */
void agent_notify_stop(struct agent_notify *notify);

#endif
