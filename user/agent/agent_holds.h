/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds new containers back until Docker has said whose they are (--guard). Docker tells of a
 * container only when its process runs. But it connects the host's end of the container's veth to a
 * bridge before that, and rtnetlink tells of it at once. The agent closes that end, and opens it
 * when the container is known and not guarded. A guarded one stays closed until it is served.
 */
#ifndef SIDESTEP_AGENT_HOLDS_H
#define SIDESTEP_AGENT_HOLDS_H

#include <stddef.h>

#include "agent/agent_namespaces.h"
#include "agent/agent_news.h"
#include "agent/agent_wards.h"
#include "stream/loop.h"

struct agent_holds;

/* Watches the host's devices; the calling thread is in the host's network namespace. @namespaces
 * and @wards outlive the result. Goes on with the ends that an earlier agent holds. Returns 0 or a
 * negative errno, logged. */
int agent_holds_new(struct loop *loop, const struct agent_namespaces *namespaces,
		    const struct agent_wards *wards, struct agent_holds **ret_holds);

/* Takes Docker's newest list, which lasts until the next call, after agent_wards_update(). */
void agent_holds_update(struct agent_holds *holds, const struct agent_seen *seen, size_t count);

/* The ends stay as they are. NULL is allowed. */
void agent_holds_free(struct agent_holds *holds);

/* Opens all ends that an earlier agent holds. */
void agent_holds_drop(const struct agent_namespaces *namespaces);

#endif
