/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network namespace that the agent serves: what is attached to it and what the maps have of it.
 *
 * Attachments are pinned links, in PIN/links/NETNS/PROGRAM or PROGRAM-IFINDEX: they outlive the
 * agent, and the file is all that is known of them. The agent holds a namespace's descriptor only
 * while a sidecar talks to it, so that none is kept alive by it.
 */
#ifndef SIDESTEP_AGENT_NAMESPACE_H
#define SIDESTEP_AGENT_NAMESPACE_H

#include "programs.h"

struct agent_namespace {
	struct programs *programs; /* the agent's */
	const char *pin;	   /* likewise */
	uint32_t netns;
	int netns_fd;	       /* -1: nobody talks */
	unsigned int prefixes; /* set since the session began, at most SIDESTEP_MAX_BYPASS * 4 */
	struct agent_namespace *next;
};

/* The calling thread enters a network namespace; negative errno. */
int agent_namespace_enter(int netns_fd);

/* steer and the programs on lo. Attaching again replaces what is attached by this load's programs.
 * The calling thread comes back to @home_fd. Returns 0 or negative errno, logged. */
int agent_namespace_attach(const struct agent_namespace *namespace, int home_fd);

/* Likewise for a device. -ENODEV: it is gone. */
int agent_namespace_attach_device(const struct agent_namespace *namespace, uint32_t ifindex,
				  int home_fd);
void agent_namespace_detach_device(const struct agent_namespace *namespace, uint32_t ifindex);

/* Detaches everything and takes the namespace out of the maps. */
void agent_namespace_remove(const struct agent_namespace *namespace);

/* Is the namespace itself gone? What was attached to it is then attached to nothing. */
bool agent_namespace_gone(const struct agent_namespace *namespace);

/* Has every pinned link run this load's programs. Returns 0 or negative errno, logged. */
int agent_namespace_adopt(const struct agent_namespace *namespace);

/* Calls @visit with the number of each namespace that has links below @pin. 0 or negative errno. */
int agent_namespace_list(const char *pin, void (*visit)(void *context, uint32_t netns),
			 void *context);

#endif
