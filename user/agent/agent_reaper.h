/* SPDX-License-Identifier: Apache-2.0 */
/* Removes sidecars that a killed workerd left behind (--reap-after). */
#ifndef SIDESTEP_AGENT_REAPER_H
#define SIDESTEP_AGENT_REAPER_H

#include "agent/agent_watch.h"
#include "stream/loop.h"

struct agent_reaper;

/* Looks for orphans once a second: sidecars that docker_orphans_match() for @reap_s seconds. @watch
 * removes them, and stays the caller's. Returns 0 or -ENOMEM, logged. */
int agent_reaper_new(struct loop *loop, struct agent_watch *watch, unsigned int reap_s,
		     struct agent_reaper **ret_reaper);

/* Replaces the list of sidecars. @seen must last until the next call or agent_reaper_free(). */
void agent_reaper_update(struct agent_reaper *reaper, const struct agent_seen *seen, size_t count);

/* The loop must not run any more. NULL is allowed. */
void agent_reaper_free(struct agent_reaper *reaper);

#endif
