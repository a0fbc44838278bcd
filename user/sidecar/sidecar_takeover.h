/* SPDX-License-Identifier: Apache-2.0 */
/* Lets the host's agent take over from another datapath while the sidecar runs. */
#ifndef SIDESTEP_SIDECAR_TAKEOVER_H
#define SIDESTEP_SIDECAR_TAKEOVER_H

#include <poll.h>
#include <stdbool.h>

#include "proxy/proxy.h"
#include "sidecar/sidecar_datapath.h"
#include "steering/steering.h"

/* Nothing in it is owned. */
struct sidecar_takeover {
	struct sidecar_datapath *datapath;
	struct steering *steering;
	struct proxy *proxy;
	bool agent_gone; /* the session has ended: nothing can be changed until the next one */
};

/* Returns what to poll for: the session, which hangs up when the agent goes. Its descriptor is -1
 * if no session stands. */
struct pollfd sidecar_takeover_session(const struct sidecar_takeover *takeover);

/* Handles @events of it. After the session's end everything in force stays. An agent that hung and
 * answers again has to be told everything by the next sync. */
void sidecar_takeover_agent_event(struct sidecar_takeover *takeover, short events);

/* Tells whether a sync has to wait, because the agent is gone or hangs. */
bool sidecar_takeover_waits(const struct sidecar_takeover *takeover);

/* Handles the arrival of the agent at the rendezvous: its programs replace the current datapath.
 * After a failure, logged, the current one stays in force. */
void sidecar_takeover_agent_came(struct sidecar_takeover *takeover);

/* Waits for the agent after the nftables table failed with @error. Returns 0 when the agent's
 * programs steer, or @error. */
int sidecar_takeover_await(struct sidecar_takeover *takeover, int error);

#endif
