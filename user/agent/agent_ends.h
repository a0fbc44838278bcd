/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the host's ends of the veths that lead into served namespaces, and keeps the outer guard on
 * them. The host's own devices and addresses are the only source, which no application reaches.
 */
#ifndef SIDESTEP_AGENT_ENDS_H
#define SIDESTEP_AGENT_ENDS_H

#include "agent/agent_namespaces.h"
#include "stream/loop.h"

struct agent_ends;

/* Watches the host's devices; the calling thread is in the host's network namespace. @namespaces
 * outlives the result. Returns 0 or a negative errno, logged. */
int agent_ends_new(struct loop *loop, struct agent_namespaces *namespaces,
		   struct agent_ends **ret_ends);

/* Follows the namespaces of an earlier agent whose ends are guarded, also those without a session.
 * Returns 0 or a negative errno, logged. */
int agent_ends_adopt(struct agent_ends *ends);

/*
 * Guards each end that leads into @namespace, which has its netns_fd. Logs a second later, with
 * @name, that the namespace's device @ifindex has no such end, so that no guard stands outside; 0:
 * no device. Returns 0 or a negative errno, logged.
 */
int agent_ends_guard(struct agent_ends *ends, struct agent_namespace *namespace, uint32_t ifindex,
		     const char *name);

/* The device leads inside, or the sidecar follows it no more, so there is nothing to log; 0: all
 * devices of the namespace. */
void agent_ends_settle(struct agent_ends *ends, const struct agent_namespace *namespace,
		       uint32_t ifindex);

/* The guards stay. NULL is allowed. */
void agent_ends_free(struct agent_ends *ends);

#endif
