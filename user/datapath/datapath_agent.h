/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datapath of the host's agent: its BPF programs, attached by it to this process's network
 * namespace, for a process that has CAP_NET_ADMIN and nothing else. Every call is a request
 * (agent_wire.h).
 *
 * The process cannot mark sockets itself: each one that is to reach the outside costs a round trip,
 * so the proxy has few of them and keeps them. Connections to the gateway need none: its address
 * is bypassed (user/sidecar/sidecar_datapath.c).
 */
#ifndef SIDESTEP_DATAPATH_AGENT_H
#define SIDESTEP_DATAPATH_AGENT_H

#include "datapath/datapath.h"

/* How long a reply may take before the agent counts as gone; ms. */
#define DATAPATH_AGENT_TIMEOUT_MS 5000

/* On the session @session_fd, which is the datapath's from here on. 0 or -ENOMEM. */
int datapath_agent_new(int session_fd, bool udp_pass, struct datapath **ret_datapath);

/* Hangs up (POLLHUP) when the agent is gone: what is in force stays so, nothing can be changed.
 * -1: @datapath is another one. */
int datapath_agent_fd(const struct datapath *datapath);

/* Frees without telling the agent to detach: what is attached stays. For a session that is
 * followed by another one. */
void datapath_agent_forget(struct datapath *datapath);

#endif
