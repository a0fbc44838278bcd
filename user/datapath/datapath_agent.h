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

/* Time for a reply, ms. After it the agent counts as gone. */
#define DATAPATH_AGENT_TIMEOUT_MS 5000

/* Uses the session @session_fd, which is the datapath's from here on. Returns 0 or -ENOMEM. */
int datapath_agent_new(int session_fd, bool udp_pass, struct datapath **ret_datapath);

/* The session's descriptor, for poll(2). It hangs up (POLLHUP) when the agent is gone: the state in
 * force stays, and cannot be changed. -1: @datapath is another one. */
int datapath_agent_fd(const struct datapath *datapath);

/* Frees without telling the agent to detach, so all programs stay attached. For a session that
 * another one follows. */
void datapath_agent_forget(struct datapath *datapath);

#endif
