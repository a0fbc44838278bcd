/* SPDX-License-Identifier: Apache-2.0 */
/* The set of network namespaces that the agent serves, or that an earlier agent has left. */
#ifndef SIDESTEP_AGENT_NAMESPACES_H
#define SIDESTEP_AGENT_NAMESPACES_H

#include <stdint.h>

#include "agent/agent_namespace.h"
#include "lib/complaint.h"
#include "stream/loop.h"

/* Zero-initialised: empty. */
struct agent_namespaces {
	struct loop *loop;
	struct programs *programs;
	struct agent_events *events;
	const char *pin;
	int home_fd;
	uint32_t home; /* the number of the host's network namespace */
	struct agent_namespace *first;
	struct loop_timer_class sweep_class, settle_class;
	struct loop_timer sweep, settle;
	struct complaint complaint;
};

/* @loop, @programs, @events, @pin and @home_fd (the host's network namespace, whose number is
 * @home) stay the caller's. @events: NULL with --clean. */
void agent_namespaces_init(struct agent_namespaces *namespaces, struct loop *loop,
			   struct programs *programs, struct agent_events *events, const char *pin,
			   int home_fd, uint32_t home);

/* Returns 0 with the number of the namespace @netns_fd, -EXDEV for the host's own, or another
 * negative errno. */
int agent_namespaces_number(const struct agent_namespaces *namespaces, int netns_fd,
			    uint32_t *ret_netns);

/* Returns the namespace with the number @netns; adds it if it is new. NULL: no memory. */
struct agent_namespace *agent_namespaces_get(struct agent_namespaces *namespaces, uint32_t netns);

/* Frees a namespace. Its attachments stay. */
void agent_namespaces_drop(struct agent_namespaces *namespaces, struct agent_namespace *namespace);

/* Once a second, removes the namespaces that no longer exist, until no unserved one is left. */
void agent_namespaces_sweep(struct agent_namespaces *namespaces);

/* Replaces filters by links, one by one, once nothing was attached for a while. */
void agent_namespaces_settle(struct agent_namespaces *namespaces);

/* Adds the namespaces of an earlier agent and has their links run this load's programs. Returns 0
 * or a negative errno, logged. */
int agent_namespaces_adopt(struct agent_namespaces *namespaces);

/* Detaches everything below the pin directory, also what an earlier agent has left. Returns 0,
 * or a negative errno (logged): a namespace keeps its filters. */
int agent_namespaces_remove_all(struct agent_namespaces *namespaces);

/* Frees all. Their attachments stay. */
void agent_namespaces_release(struct agent_namespaces *namespaces);

#endif
