/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What steers packets to the proxy's listeners, whichever way it does: BPF programs that this
 * process loads (datapath_bpf.h), those of the host's agent (datapath_agent.h), or an nftables
 * table (datapath_nft.h). The rest of the process knows a datapath by these calls alone.
 *
 * Routes and rules bring the traffic to lo and are not the datapath's (user/steering/steering.c).
 * All calls from one thread, but for datapath_own_socket(), datapath_flow_update() and
 * datapath_flow_close(), which are thread safe.
 */
#ifndef SIDESTEP_DATAPATH_H
#define SIDESTEP_DATAPATH_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/address.h"
#include "sidestep.h"
#include "stream/flow.h"

struct datapath;

/* One way to steer. Each function as the datapath_ function of its name below. */
struct datapath_ops {
	const char *name; /* "bpf", "agent", "nft" */
	/* Mark of packets that it lets out, for struct plan_input; 0: it marks none. */
	uint32_t out_mark;
	/* It cannot mark the proxy's connections to the gateway cheaply: the gateway's address
	 * must be bypassed. */
	bool gateway_by_address;
	void (*free)(struct datapath *datapath);
	int (*set_listener)(struct datapath *datapath, enum sidestep_listener slot, int fd);
	int (*set_gateway)(struct datapath *datapath, const char *gateway);
	int (*attach)(struct datapath *datapath);
	int (*attach_device)(struct datapath *datapath, uint32_t ifindex);
	void (*detach_device)(struct datapath *datapath, uint32_t ifindex);
	int (*bypass_set)(struct datapath *datapath, const struct prefix *prefix,
			  const struct sidestep_bypass *value);
	int (*bypass_remove)(struct datapath *datapath, const struct prefix *prefix);
	int (*route_set)(struct datapath *datapath, const struct prefix *prefix,
			 const struct sidestep_route *value);
	int (*route_remove)(struct datapath *datapath, const struct prefix *prefix);
	int (*inbound_add)(struct datapath *datapath, const struct sidestep_flow_key *key);
	int (*commit)(struct datapath *datapath);
	void (*settle)(struct datapath *datapath); /* NULL: nothing is put off */
	int (*own_socket)(struct datapath *datapath, int fd, const struct sockaddr *destination);
	void (*flow_update)(struct datapath *datapath, const struct flow *flow);
	/* For flows that flow_update() was called for. */
	void (*flow_close)(struct datapath *datapath, const struct flow *flow);
};

/* The first member of each implementation's own struct. */
struct datapath {
	const struct datapath_ops *ops;
};

/* The flow as the maps know it; netns 0. */
void datapath_flow_key(const struct flow *flow, struct sidestep_flow_key *ret_key);

/* Detaches, removes what it installed, frees. NULL is allowed. */
static inline void datapath_free(struct datapath *datapath)
{
	if (datapath)
		datapath->ops->free(datapath);
}

/*
 * Where steered packets go: a listening (TCP) or bound (UDP) transparent socket of the proxy's for
 * each slot; it stays the caller's. Other sockets of its SO_REUSEPORT group, and so of its port,
 * serve as well. A slot that is never set refuses. Returns 0 or negative errno.
 */
static inline int datapath_set_listener(struct datapath *datapath, enum sidestep_listener slot,
					int fd)
{
	return datapath->ops->set_listener(datapath, slot, fd);
}

/* The gateway's name, for `sidestep status`. Returns 0 or negative errno. */
static inline int datapath_set_gateway(struct datapath *datapath, const char *gateway)
{
	return datapath->ops->set_gateway(datapath, gateway);
}

/* Starts to judge what reaches lo, by what was set and committed before. Returns 0 or negative
 * errno, logged. */
static inline int datapath_attach(struct datapath *datapath)
{
	return datapath->ops->attach(datapath);
}

/*
 * Guards a device (bridge mode: steers what comes from it): outbound packets that walked around
 * the steering are dropped, and what comes in from outside the bypassed subnets is remembered, so
 * that its replies pass. Attaching twice does nothing. -ENODEV: the device is gone.
 */
static inline int datapath_attach_device(struct datapath *datapath, uint32_t ifindex)
{
	return datapath->ops->attach_device(datapath, ifindex);
}

static inline void datapath_detach_device(struct datapath *datapath, uint32_t ifindex)
{
	datapath->ops->detach_device(datapath, ifindex);
}

/* Subnets to step aside for. An IPv4 prefix is ::ffff:a.b.c.d/(96+n), as everywhere in user/.
 * Setting replaces; removing what is not there is no error. In force after datapath_commit(). */
static inline int datapath_bypass_set(struct datapath *datapath, const struct prefix *prefix,
				      const struct sidestep_bypass *value)
{
	return datapath->ops->bypass_set(datapath, prefix, value);
}

static inline int datapath_bypass_remove(struct datapath *datapath, const struct prefix *prefix)
{
	return datapath->ops->bypass_remove(datapath, prefix);
}

/* The main routing table's routes; likewise. @value's gateway as in address.h. */
static inline int datapath_route_set(struct datapath *datapath, const struct prefix *prefix,
				     const struct sidestep_route *value)
{
	return datapath->ops->route_set(datapath, prefix, value);
}

static inline int datapath_route_remove(struct datapath *datapath, const struct prefix *prefix)
{
	return datapath->ops->route_remove(datapath, prefix);
}

/* Records a connection that came from outside before the datapath was there, so that its replies
 * pass. Returns 0 or negative errno. In force after datapath_commit(). */
static inline int datapath_inbound_add(struct datapath *datapath,
				       const struct sidestep_flow_key *key)
{
	return datapath->ops->inbound_add(datapath, key);
}

/* What was set and removed since the last commit is in force, all of it, when this returns 0. After
 * an error the caller sets all of it again. Returns 0 or negative errno, logged. */
static inline int datapath_commit(struct datapath *datapath)
{
	return datapath->ops->commit(datapath);
}

/* Does what was put off so as to be in force sooner. */
static inline void datapath_settle(struct datapath *datapath)
{
	if (datapath->ops->settle)
		datapath->ops->settle(datapath);
}

/* The signatures are those of struct dial_announcer and struct proxy_hooks; @context is the struct
 * datapath. */
static inline int datapath_own_socket(void *context, int fd, const struct sockaddr *destination)
{
	struct datapath *datapath = context;

	return datapath->ops->own_socket(datapath, fd, destination);
}

static inline void datapath_flow_update(void *context, const struct flow *flow)
{
	struct datapath *datapath = context;

	datapath->ops->flow_update(datapath, flow);
}

static inline void datapath_flow_close(void *context, const struct flow *flow)
{
	struct datapath *datapath = context;

	datapath->ops->flow_close(datapath, flow);
}

#endif
