/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `sidestep sidecar` share. */
#ifndef SIDESTEP_SIDECAR_H
#define SIDESTEP_SIDECAR_H

#include <pthread.h>

#include "control/control.h"
#include "lib/socket_address.h"
#include "proxy/policy.h"
#include "sidecar/docker_feed.h"
#include "sidecar/preflight.h"
#include "sidecar/sidecar_options.h"
#include "steering/bridge_netns.h"
#include "steering/steering.h"
#include "tls/tls_authority.h"

struct sidecar {
	struct sidecar_options options;
	bool bridge_mode;
	char gateway_text[128];
	struct socket_address gateway;
	int lock_fd;
	int anchor_fd;
	int signal_fd;
	int monitor_fd;
	int netns_fd;
	int gateway_fd;	   /* eventfd: @gateway_text has changed, guarded by datapath_lock */
	int rendezvous_fd; /* where the host's agent comes, -1: it is not wanted */
	struct bridge_netns bridge;
	struct datapath *datapath;
	pthread_rwlock_t datapath_lock; /* for the proxy's threads, while another takes its place */
	bool agent_gone;
	bool gateway_bypassed; /* set before the proxy starts, and then the same ever after */
	struct policy *policy;
	struct tls_authority *tls;
	struct proxy *proxy;
	struct steering *steering;
	struct docker_feed *feed;
	struct control *control;
	struct preflight *preflight;
};

/* Chooses and makes the datapath: by --datapath, the rights that are there, and whether an agent
 * comes in time. Returns 0 or negative errno, logged. */
int sidecar_datapath_open(struct sidecar *sidecar);

/* What the plan has to know of the datapath in use. */
struct steering_way sidecar_datapath_way(struct sidecar *sidecar);

/* Gives the proxy's listeners to @datapath. Returns 0 or negative errno, logged. */
int sidecar_datapath_listeners(const struct sidecar *sidecar, struct datapath *datapath);

/* Tells @datapath the gateway's name, for `sidestep status`. Returns 0 or negative errno. */
int sidecar_datapath_describe(struct sidecar *sidecar, struct datapath *datapath);

/* Records the inbound connections that were open already. */
void sidecar_datapath_seed(struct sidecar *sidecar);

/* The agent has come to the rendezvous: its programs take the place of what steers now. What fails
 * leaves that in force. */
void sidecar_datapath_agent_came(struct sidecar *sidecar);

/* The nftables table could not be made (@error): waits for the agent. Returns 0 when its programs
 * steer, or @error. */
int sidecar_datapath_await_agent(struct sidecar *sidecar, int error);

/* The session ended: what is in force stays, and waits for the next agent. */
void sidecar_datapath_agent_left(struct sidecar *sidecar);

/* Hooks for the proxy and the control API, whose context is the struct sidecar; thread safe. */
int sidecar_own_socket(void *context, int fd, const struct sockaddr *destination);
void sidecar_flow_update(void *context, const struct flow *flow);
void sidecar_flow_close(void *context, const struct flow *flow);

#endif
