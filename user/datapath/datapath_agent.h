/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datapath of the host's agent, for a process that has CAP_NET_ADMIN and no other rights. The
 * agent attaches its BPF programs to this network namespace. Every call is a request
 * (agent_wire.h).
 *
 * The process cannot mark sockets itself. Each socket to the outside costs a round trip, so the
 * proxy has few of them and keeps them. Connections to the gateway need none, as its address is
 * bypassed (user/sidecar/sidecar_datapath.c).
 */
#ifndef SIDESTEP_DATAPATH_AGENT_H
#define SIDESTEP_DATAPATH_AGENT_H

#include "datapath/datapath.h"

/* Time for a request and its reply, ms. Starting many containers at once takes the agent long. */
#define DATAPATH_AGENT_LIMIT_MS 5000

/*
 * Uses the session @session_fd, which is the datapath's from here on. An agent that has not served
 * a request within @limit_ms hangs (logged). From then on every call fails with -ETIMEDOUT at once,
 * and the programs steer by the maps as they are, until datapath_agent_resume() returns true.
 * Returns 0 or -ENOMEM.
 */
int datapath_agent_new(int session_fd, enum sidestep_udp udp, unsigned int limit_ms,
		       struct datapath **ret_datapath);

/* The session's descriptor, for poll(2). It hangs up (POLLHUP) when the agent is gone: the state in
 * force stays, and cannot be changed. -1: @datapath is another one. */
int datapath_agent_fd(const struct datapath *datapath);

/* Tells whether the agent hangs. False for another datapath. */
bool datapath_agent_hangs(const struct datapath *datapath);

/* The events of the session to wait for, besides its hang-up: 0 unless the agent hangs. */
short datapath_agent_events(const struct datapath *datapath);

/* Handles such an event, without waiting. Returns true if the agent answers again. Requests that
 * failed meanwhile may have been served, so the caller makes all of them again. */
bool datapath_agent_resume(struct datapath *datapath);

/* Tells the agent, for its log, that this process ends because nobody is left to serve. Nothing for
 * another datapath. */
void datapath_agent_deserted(struct datapath *datapath);

/* Frees without telling the agent to detach, so all programs stay attached. For a session that
 * another one follows. */
void datapath_agent_forget(struct datapath *datapath);

#endif
