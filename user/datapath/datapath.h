/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interface of a datapath, which steers packets to the proxy's listeners. There are three: BPF
 * programs that this process loads (datapath_bpf.h), those of the host's agent (datapath_agent.h),
 * and an nftables table (datapath_nft.h). The rest of the process uses only these calls.
 *
 * Routes and rules bring the traffic to lo. They are not the datapath's
 * (user/steering/steering.c). One thread makes all calls, except for datapath_own_socket(),
 * datapath_flow_update(), datapath_flow_close(), datapath_read_counters(), datapath_each_map(),
 * datapath_opener() and datapath_report(), which are thread safe.
 */
#ifndef SIDESTEP_DATAPATH_H
#define SIDESTEP_DATAPATH_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/address.h"
#include "programs/record_source.h"
#include "sidestep.h"
#include "stream/flow.h"

struct datapath;

/* The kinds of devices in sidecar mode. */
enum datapath_device {
	DATAPATH_UPLINK,    /* it leads to the outside, or may */
	DATAPATH_UPLINK_L3, /* likewise; its frames have no link-layer header */
	DATAPATH_INNER,	    /* it leads to containers inside */
};

/* Is called with a map's name, its entries and how many fit. */
typedef void datapath_visit_map(void *context, const char *map, uint32_t entries,
				uint32_t capacity);

/* One way to steer: its traits, and the functions behind the datapath_ calls below. */
struct datapath_ops {
	const char *name; /* "bpf", "agent", "nft" */
	/* Mark of packets that it lets out, for struct plan_input; 0: it marks none. */
	uint32_t out_mark;
	/* It cannot mark the proxy's connections to the gateway cheaply: the gateway's address
	 * must be bypassed. */
	bool gateway_by_address;
	/* DNS queries reach the listener's port at any address, and not the listener's socket. */
	bool dns_by_port;
	bool no_inner;	   /* it steers nothing that inner devices bring */
	bool own_programs; /* this process changes its maps, and attaches its programs */
	void (*free)(struct datapath *datapath);
	void (*retire)(struct datapath *datapath); /* NULL: it is freed at once */
	int (*leave)(struct datapath *datapath);
	void (*succeed)(struct datapath *datapath);
	int (*set_listener)(struct datapath *datapath, enum sidestep_listener slot, int fd);
	int (*set_gateway)(struct datapath *datapath, const char *gateway);
	int (*attach)(struct datapath *datapath);
	int (*attach_device)(struct datapath *datapath, uint32_t ifindex,
			     enum datapath_device kind);
	void (*detach_device)(struct datapath *datapath, uint32_t ifindex);
	int (*bypass_set)(struct datapath *datapath, const struct prefix *prefix,
			  const struct sidestep_bypass *value);
	int (*bypass_remove)(struct datapath *datapath, const struct prefix *prefix);
	int (*route_set)(struct datapath *datapath, const uint8_t source[16],
			 const struct prefix *prefix, const struct sidestep_route *value);
	int (*route_remove)(struct datapath *datapath, const uint8_t source[16],
			    const struct prefix *prefix);
	int (*inbound_add)(struct datapath *datapath, const struct sidestep_flow_key *key);
	int (*commit)(struct datapath *datapath);
	void (*complete)(struct datapath *datapath); /* NULL: it is complete at once */
	void (*settle)(struct datapath *datapath);   /* NULL: nothing is deferred */
	int (*own_socket)(struct datapath *datapath, int fd, const struct sockaddr *destination);
	void (*flow_update)(struct datapath *datapath, const struct flow *flow);
	/* For flows that flow_update() was called for. */
	void (*flow_close)(struct datapath *datapath, const struct flow *flow);
	int (*read_counters)(struct datapath *datapath, /* NULL: it has none */
			     uint64_t ret_sums[SIDESTEP_COUNTERS]);
	void (*each_map)(struct datapath *datapath, datapath_visit_map *visit,
			 void *context); /* NULL: it has none */
	/* Returns the datapath's descriptor of its program or map with that number, or -ENOENT.
	 * NULL: it has none. */
	int (*find_object)(struct datapath *datapath, bool map, uint32_t id);
	/* NULL: this process cannot know. */
	int (*opener)(struct datapath *datapath, const struct sidestep_flow_key *key,
		      struct sidestep_process *ret_opener);
	int (*open_denials)(struct datapath *datapath, struct record_source **ret_source);
	/* NULL: nobody else wants events. */
	int (*report)(struct datapath *datapath, const void *message, size_t size);
};

/* The first member of each implementation's own struct. */
struct datapath {
	const struct datapath_ops *ops;
};

/* Converts a flow to the key of the maps, with netns 0. */
void datapath_flow_key(const struct flow *flow, struct sidestep_flow_key *ret_key);

/* Detaches, removes everything that it installed, and frees. NULL is allowed. */
static inline void datapath_free(struct datapath *datapath)
{
	if (datapath)
		datapath->ops->free(datapath);
}

/* Ends a datapath that another one has replaced. Connections that depend on it go on until the
 * caller frees what is returned. NULL: none do, and it is freed. */
static inline struct datapath *datapath_retire(struct datapath *datapath)
{
	if (datapath->ops->retire) {
		datapath->ops->retire(datapath);
		return datapath;
	}
	datapath->ops->free(datapath);
	return NULL;
}

/*
 * Frees, and leaves the namespace closed. Its programs or tables outlive the process and let
 * out replies to connections from outside alone. The next datapath replaces them,
 * or removes them by datapath_succeed(). Not for bridge mode. NULL is allowed. Returns 0, or a
 * negative errno, logged: something is missing, and packets may get out.
 */
static inline int datapath_leave(struct datapath *datapath)
{
	return datapath ? datapath->ops->leave(datapath) : 0;
}

/* Removes what a predecessor of another kind left, which would judge as well. This datapath is in
 * force by now. Not for bridge mode. */
static inline void datapath_succeed(struct datapath *datapath)
{
	datapath->ops->succeed(datapath);
}

/*
 * Sets the target of steered packets: for each slot a listening (TCP) or bound (UDP) transparent
 * socket of the proxy's, which stays the caller's. Other sockets of its SO_REUSEPORT group, and so
 * of its port, serve as well, so all of the group must be the proxy's. A slot that is never set
 * refuses. Returns 0 or negative errno.
 */
static inline int datapath_set_listener(struct datapath *datapath, enum sidestep_listener slot,
					int fd)
{
	return datapath->ops->set_listener(datapath, slot, fd);
}

/* Sets the gateway's name for `sidestep status`. Returns 0 or negative errno. */
static inline int datapath_set_gateway(struct datapath *datapath, const char *gateway)
{
	return datapath->ops->set_gateway(datapath, gateway);
}

/* Starts to judge the packets that reach lo, by the state that was committed before. Returns 0 or
 * negative errno, logged. */
static inline int datapath_attach(struct datapath *datapath)
{
	return datapath->ops->attach(datapath);
}

/*
 * Guards a device; in bridge mode steers the packets from it. Outbound packets that walked around
 * the steering are dropped. Connections from outside the bypassed subnets are remembered, so that
 * their replies pass. Packets from an inner device are steered where they come from. Attaching
 * twice does nothing, or changes the kind. -ENODEV: the device is gone.
 */
static inline int datapath_attach_device(struct datapath *datapath, uint32_t ifindex,
					 enum datapath_device kind)
{
	return datapath->ops->attach_device(datapath, ifindex, kind);
}

static inline void datapath_detach_device(struct datapath *datapath, uint32_t ifindex)
{
	datapath->ops->detach_device(datapath, ifindex);
}

/* Sets or removes a bypassed subnet. An IPv4 prefix is ::ffff:a.b.c.d/(96+n), as everywhere in
 * user/. Setting replaces. Removing a missing one is no error. In force after datapath_commit(). */
static inline int datapath_bypass_set(struct datapath *datapath, const struct prefix *prefix,
				      const struct sidestep_bypass *value)
{
	return datapath->ops->bypass_set(datapath, prefix, value);
}

static inline int datapath_bypass_remove(struct datapath *datapath, const struct prefix *prefix)
{
	return datapath->ops->bypass_remove(datapath, prefix);
}

/* Likewise for a route of packets that leave by way of lo. @source: only of those from this
 * address, unless it is all zero. It and @value's gateway are as in address.h. */
static inline int datapath_route_set(struct datapath *datapath, const uint8_t source[16],
				     const struct prefix *prefix,
				     const struct sidestep_route *value)
{
	return datapath->ops->route_set(datapath, source, prefix, value);
}

static inline int datapath_route_remove(struct datapath *datapath, const uint8_t source[16],
					const struct prefix *prefix)
{
	return datapath->ops->route_remove(datapath, source, prefix);
}

/* Records a connection that came from outside before the datapath was there, so that its replies
 * pass. Returns 0 or negative errno. In force after datapath_commit(). */
static inline int datapath_inbound_add(struct datapath *datapath,
				       const struct sidestep_flow_key *key)
{
	return datapath->ops->inbound_add(datapath, key);
}

/* Puts all changes since the last commit in force. After an error the caller sets all of them
 * again. Returns 0 or negative errno, logged. */
static inline int datapath_commit(struct datapath *datapath)
{
	return datapath->ops->commit(datapath);
}

/* Makes ready what a start need not wait for. Call it once interception is live, in front of the
 * sandbox. */
static inline void datapath_complete(struct datapath *datapath)
{
	if (datapath->ops->complete)
		datapath->ops->complete(datapath);
}

/* Does the work that was deferred to be in force sooner. */
static inline void datapath_settle(struct datapath *datapath)
{
	if (datapath->ops->settle)
		datapath->ops->settle(datapath);
}

/* Stores the counters. Returns how many there are, from the first one of enum sidestep_verdict on,
 * or a negative errno. -EOPNOTSUPP: this process cannot read them. */
static inline int datapath_read_counters(struct datapath *datapath,
					 uint64_t ret_sums[SIDESTEP_COUNTERS])
{
	return datapath->ops->read_counters ? datapath->ops->read_counters(datapath, ret_sums)
					    : -EOPNOTSUPP;
}

/* Calls @visit with each map of this process that may fill up. */
static inline void datapath_each_map(struct datapath *datapath, datapath_visit_map *visit,
				     void *context)
{
	if (datapath->ops->each_map)
		datapath->ops->each_map(datapath, visit, context);
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

/* Finds who opened a steered flow, as the kernel knows it. Returns 0 or negative errno; -ENOENT: it
 * is not known. */
static inline int datapath_opener(struct datapath *datapath, const struct sidestep_flow_key *key,
				  struct sidestep_process *ret_opener)
{
	return datapath->ops->opener ? datapath->ops->opener(datapath, key, ret_opener) : -ENOENT;
}

/* Opens the records of denied packets (struct sidestep_denial), which the caller closes before it
 * frees @datapath. Returns 0 or negative errno; -EOPNOTSUPP: somebody else reads them. */
static inline int datapath_open_denials(struct datapath *datapath,
					struct record_source **ret_source)
{
	return datapath->ops->open_denials ? datapath->ops->open_denials(datapath, ret_source)
					   : -EOPNOTSUPP;
}

/* Does the datapath's owner want to hear of events? */
static inline bool datapath_wants_reports(const struct datapath *datapath)
{
	return datapath->ops->report != NULL;
}

/* Sends it a message with events (events/event_batch.h), and never waits. Returns 0 or negative
 * errno; -EAGAIN: it does not keep up. */
static inline int datapath_report(struct datapath *datapath, const void *message, size_t size)
{
	return datapath->ops->report ? datapath->ops->report(datapath, message, size) : -EOPNOTSUPP;
}

#endif
