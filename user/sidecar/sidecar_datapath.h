/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses a sidecar's datapath, and stands between it and the parts that use it. */
#ifndef SIDESTEP_SIDECAR_DATAPATH_H
#define SIDESTEP_SIDECAR_DATAPATH_H

#include <pthread.h>
#include <stdbool.h>

#include "datapath/datapath.h"
#include "lib/socket_address.h"
#include "proxy/proxy.h"
#include "sidecar/sidecar_options.h"
#include "steering/bridge_netns.h"
#include "steering/steering.h"

/* Belongs to the main thread, except where a function says otherwise. */
struct sidecar_datapath {
	const struct sidecar_options *options;
	const struct bridge_netns *bridge; /* NULL: sidecar mode */
	struct socket_address gateway; /* whose address counts; its port may be an earlier one */
	struct datapath *current;
	struct datapath *retired; /* by the host's agent; connections depend on it; or NULL */
	bool agent;		  /* @current is a session with the host's agent */
	bool gateway_bypassed;	  /* by its address; constant from the open on */
	bool gateway_exempt;	  /* its address is bypassed for its own sake */
	int netns_fd;
	int rendezvous_fd; /* the host's agent arrives there; -1: it is not wanted */
	/* Held to change @current and @gateway, and while they are used by others. */
	pthread_rwlock_t lock;
	/* Of its own, because a call of @current may take the host's agent seconds. */
	pthread_mutex_t gateway_lock;
	char gateway_text[SOCKET_ADDRESS_TEXT_MAX]; /* the latest gateway */
};

/* Needs no close before the open. @gateway: of family AF_UNSPEC while its address is not known. */
void sidecar_datapath_init(struct sidecar_datapath *datapath, const struct sidecar_options *options,
			   const struct bridge_netns *bridge, const struct socket_address *gateway);

/* Makes the datapath that --datapath, the process's rights and the host's agent allow. Returns 0 or
 * negative errno, logged. */
int sidecar_datapath_open(struct sidecar_datapath *datapath);

/* Returns whether the host's agent has come. After a datapath was opened it waits --agent-wait for
 * it. */
bool sidecar_datapath_agent_serves(const struct sidecar_datapath *datapath);

/* Removes what the datapath installed, or leaves it so that nothing gets out. Idempotent. Leaving
 * returns as datapath_leave() does. */
void sidecar_datapath_close(struct sidecar_datapath *datapath);
int sidecar_datapath_leave(struct sidecar_datapath *datapath);

/* Accepts the host's agent at the rendezvous and makes its datapath. Returns 0 or negative errno.
 */
int sidecar_datapath_accept(struct sidecar_datapath *datapath, struct datapath **ret_agent);

/* Makes @next the current datapath and @steering's. While the former one steers as well, the rule
 * for its mark stays. */
void sidecar_datapath_swap(struct sidecar_datapath *datapath, struct datapath *next, bool agent,
			   struct steering *steering);

/* Returns the part of the steering's plan that depends on the current datapath. */
struct steering_way sidecar_datapath_way(const struct sidecar_datapath *datapath);

/* Gives the proxy's listeners to a datapath. Returns 0 or negative errno, logged. */
int sidecar_datapath_listeners(struct datapath *target, const struct proxy *proxy);

/* Tells a datapath the latest gateway, for `sidestep status`. Returns 0 or negative errno. */
int sidecar_datapath_describe(struct sidecar_datapath *datapath, struct datapath *target);

/* The gateway has another address. @exempt: it is bypassed for its own sake. The caller sets the
 * way anew and syncs. */
void sidecar_datapath_move_gateway(struct sidecar_datapath *datapath,
				   const struct socket_address *gateway, bool exempt);

/* Stores the gateway for the next sidecar_datapath_describe(). Thread safe. */
void sidecar_datapath_set_gateway(struct sidecar_datapath *datapath,
				  const struct socket_address *gateway);

/* Records the inbound connections that are older than the datapath. */
void sidecar_datapath_seed(struct sidecar_datapath *datapath, struct steering *steering);

/* An announcer for the proxy and the preflight, and hooks for the proxy. Their @context is the
 * struct sidecar_datapath. Thread safe. */
int sidecar_datapath_announce(void *context, int fd, const struct sockaddr *destination);
void sidecar_datapath_flow_open(void *context, struct flow *flow);
void sidecar_datapath_flow_update(void *context, const struct flow *flow);
void sidecar_datapath_flow_close(void *context, const struct flow *flow);

/* The same as datapath_opener(), datapath_wants_reports() and datapath_report(). Thread safe. */
int sidecar_datapath_opener(struct sidecar_datapath *datapath, const struct sidestep_flow_key *key,
			    struct sidestep_process *ret_opener);
bool sidecar_datapath_wants_reports(struct sidecar_datapath *datapath);
int sidecar_datapath_report(struct sidecar_datapath *datapath, const void *message, size_t size);

#endif
