/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaches the programs to a network namespace that the agent serves, and detaches them.
 *
 * Attachments are links that are pinned (agent/agent_pins.h). They outlive the agent, and the file
 * is the only record of them. Programs on devices start as clsact filters: a TCX link waits for an
 * RCU grace period and keeps the whole machine's network settings locked. Later
 * agent_namespace_settle() replaces the filters by links. The record of a filter exists from before
 * the filter is attached until after it is detached, so that no kill loses a filter.
 *
 * The agent holds a namespace's descriptor only during a session, because it would keep the
 * namespace alive.
 */
#ifndef SIDESTEP_AGENT_NAMESPACE_H
#define SIDESTEP_AGENT_NAMESPACE_H

#include "agent/agent_budget.h"
#include "agent/agent_outer.h"
#include "datapath/datapath.h"
#include "lib/complaint.h"
#include "programs/programs.h"

struct agent_events;

struct agent_namespace {
	struct programs *programs;   /* the agent's */
	struct agent_events *events; /* the agent's */
	const char *pin;	     /* the agent's */
	int home_fd;		     /* the host's namespace, to which the thread returns */
	uint32_t netns;
	int netns_fd;	/* -1: no session */
	bool unsettled; /* agent_namespace_settle() has work to do */
	struct agent_outer outer;
	bool guarded;	/* by agent_ends_guard() */
	bool kept;	/* closed whenever no sidecar is served there (--guard) */
	int nsid;	/* ->guarded: its number on the host, or a negative errno */
	bool seeds_out; /* the outer guard is as new as the session, and may learn old flows */
	/* The work of its sidecars, whichever session it came by. */
	struct agent_budget requests, attachments, prefixes;
	struct complaint complaint; /* about their requests */
	struct agent_namespace *next;
};

/* Attaches steer and the programs on lo. If they are attached, this load's programs replace them.
 * Returns 0 or a negative errno, logged. */
int agent_namespace_attach(struct agent_namespace *namespace);

/* Attaches steer alone, which does nothing without the programs on lo. Its link tells
 * agent_namespace_gone() that the namespace exists. */
int agent_namespace_attach_steer(struct agent_namespace *namespace);

/* Do the same for a device, and the opposite. The programs of another kind go. -ENODEV: the device
 * is gone. */
int agent_namespace_attach_device(struct agent_namespace *namespace, uint32_t ifindex,
				  enum datapath_device kind);
void agent_namespace_detach_device(const struct agent_namespace *namespace, uint32_t ifindex);

/* Do the same for the host's device @ifindex, which leads into the namespace: the outer guard. */
int agent_namespace_attach_outer(struct agent_namespace *namespace, uint32_t ifindex);
void agent_namespace_detach_outer(const struct agent_namespace *namespace, uint32_t ifindex);

/* Lets nothing out of the host's device @ifindex, as long as `outer` has no entry for it. The
 * namespace of the holds (agent/agent_holds.h) records this. -ENODEV: the device is gone. */
int agent_namespace_hold(struct agent_namespace *namespace, uint32_t ifindex);

/* Forgets what is recorded for the host's device @ifindex. Its filters stay, because another
 * namespace has recorded them, or they are gone with it. */
void agent_namespace_forget_outer(const struct agent_namespace *namespace, uint32_t ifindex);

/* Is the outer guard recorded for the host's device @ifindex? */
bool agent_namespace_has_outer(const struct agent_namespace *namespace, uint32_t ifindex);

/* Calls @visit with each of the host's devices that the outer guard is recorded for. */
void agent_namespace_each_outer(const struct agent_namespace *namespace,
				void (*visit)(void *context, uint32_t ifindex), void *context);

/* Replaces one filter by a link; needs netns_fd. It takes as long as an RCU grace period. Clears
 * ->unsettled after the last filter, and on failure (logged), because filters work too. */
void agent_namespace_settle(struct agent_namespace *namespace);

/* Detaches everything and deletes the namespace's map entries. Returns 0, or a negative
 * errno: its filters stay, because nothing leads into it (agent/agent_find.h). */
int agent_namespace_remove(struct agent_namespace *namespace);

/* Detaches the programs on lo and deletes the namespace's map entries. The guards stay, inside and
 * outside, and let nothing out then. */
void agent_namespace_shut(struct agent_namespace *namespace);

/* Returns 1 if the namespace no longer exists, as its links are attached to nothing, or 0. A
 * negative errno: nothing is known, for example because no descriptor is free. */
int agent_namespace_gone(const struct agent_namespace *namespace);

/* Makes every pinned link run this load's programs. The next session replaces the filters. Returns
 * 0 or a negative errno, logged. */
int agent_namespace_adopt(struct agent_namespace *namespace);

#endif
