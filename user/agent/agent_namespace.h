/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network namespace that the agent serves: what is attached to it and what the maps have of it.
 *
 * Attachments are pinned links, in PIN/links/NETNS/PROGRAM or PROGRAM-IFINDEX: they outlive the
 * agent, and the file is all that is known of them. Programs on devices begin as clsact filters,
 * as a link by TCX waits for an RCU grace period and keeps the whole machine's network settings
 * locked meanwhile; agent_namespace_settle() has links take their place. Beside a filter lies a
 * symbolic link of the same name and "-clsact" from before it is attached until after it is
 * detached, so that no kill loses one.
 *
 * The agent holds a namespace's descriptor only while a sidecar talks to it, so that none is kept
 * alive by it.
 */
#ifndef SIDESTEP_AGENT_NAMESPACE_H
#define SIDESTEP_AGENT_NAMESPACE_H

#include "programs/programs.h"

#define AGENT_FILTER_SUFFIX "-clsact"

struct agent_namespace {
	struct programs *programs; /* the agent's */
	const char *pin;	   /* likewise */
	int home_fd;		   /* likewise: where the calling thread comes back to */
	uint32_t netns;
	int netns_fd;	       /* -1: nobody talks */
	bool unsettled;	       /* agent_namespace_settle() has something to do */
	unsigned int prefixes; /* set since the session began, at most SIDESTEP_MAX_BYPASS * 4 */
	struct agent_namespace *next;
};

/* steer and the programs on lo. Attaching again replaces what is attached by this load's programs.
 * Returns 0 or negative errno, logged. */
int agent_namespace_attach(struct agent_namespace *namespace);

/* Likewise for a device. -ENODEV: it is gone. */
int agent_namespace_attach_device(struct agent_namespace *namespace, uint32_t ifindex);
void agent_namespace_detach_device(const struct agent_namespace *namespace, uint32_t ifindex);

/* Has a link take the place of one filter; needs netns_fd. Takes as long as an RCU grace period.
 * Clears ->unsettled after the last one, and when it fails (logged): filters do as well. */
void agent_namespace_settle(struct agent_namespace *namespace);

/* Detaches everything and takes the namespace out of the maps. Filters are detached where a process
 * is in the namespace. */
void agent_namespace_remove(const struct agent_namespace *namespace);

/* Is the namespace itself gone? What was attached to it is then attached to nothing. */
bool agent_namespace_gone(const struct agent_namespace *namespace);

/* Has every pinned link run this load's programs. Filters are left to the next session. Returns 0
 * or negative errno, logged. */
int agent_namespace_adopt(const struct agent_namespace *namespace);

/* Calls @visit with the number of each namespace that has links below @pin. 0 or negative errno. */
int agent_namespace_list(const char *pin, void (*visit)(void *context, uint32_t netns),
			 void *context);

#endif
