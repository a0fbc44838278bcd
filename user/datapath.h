/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel side, seen from the process: loads the programs, attaches them, fills their maps.
 * Links belong to the process and go with it. All calls from one thread, but for
 * datapath_own_socket(), datapath_flow_update() and datapath_flow_close(), which are thread safe.
 */
#ifndef SIDESTEP_DATAPATH_H
#define SIDESTEP_DATAPATH_H

#include <stdbool.h>
#include <stdint.h>

#include <sidestep.h>
#include "address.h"
#include "proxy.h"

struct datapath;

enum datapath_attach {
	DATAPATH_ATTACH_AUTO, /* TCX (Linux 6.6), clsact where the kernel lacks it */
	DATAPATH_ATTACH_TCX,
	DATAPATH_ATTACH_CLSACT,
};

struct datapath_config {
	enum sidestep_mode mode;
	enum datapath_attach attach;
	bool udp_pass;
	uint32_t veth_ifindex; /* bridge mode: the host's end */
	const char *pin;       /* directory below a bpffs for the maps, or NULL */
};

/* Opens, configures, loads; nothing is attached yet. With @pin: makes the directory and pins the
 * maps there, in place of what a killed predecessor left. Needs CAP_BPF and CAP_NET_ADMIN.
 * Returns 0 or negative errno, logged. */
int datapath_new(const struct datapath_config *config, struct datapath **ret_datapath);

/* Detaches, unpins, frees. NULL is allowed. */
void datapath_free(struct datapath *datapath);

/* Where `steer` finds the proxy: the slots of the map `listeners`. Returns 0 or negative errno. */
int datapath_set_listener(struct datapath *datapath, enum sidestep_listener slot, int fd);

void datapath_set_info(struct datapath *datapath, const char *gateway);

/* `steer` in the network namespace @netns_fd. Returns 0 or negative errno, logged. */
int datapath_attach_steer(struct datapath *datapath, int netns_fd);

/* The TC programs of this mode on the loopback device (sidecar). */
int datapath_attach_loopback(struct datapath *datapath);

/* Likewise on the host's end of the veth (bridge mode). */
int datapath_attach_veth(struct datapath *datapath);

/* Guard (sidecar) or steering (bridge mode) on a device. Attaching twice does nothing. */
int datapath_attach_device(struct datapath *datapath, uint32_t ifindex);
void datapath_detach_device(struct datapath *datapath, uint32_t ifindex);

/* Entries of `bypass4`/`bypass6`; removing what is not there is no error. */
int datapath_bypass_set(struct datapath *datapath, const struct prefix *prefix,
			const struct sidestep_bypass *value);
int datapath_bypass_remove(struct datapath *datapath, const struct prefix *prefix);

/* Entries of `route4`/`route6`; likewise. */
int datapath_route_set(struct datapath *datapath, const struct prefix *prefix,
		       const struct sidestep_route *value);
int datapath_route_remove(struct datapath *datapath, const struct prefix *prefix);

/* Records a connection that came from outside before the programs were there: one whose local end
 * is bypassed and whose remote end is not (others are left out). True when it was recorded. */
bool datapath_inbound_add(struct datapath *datapath, const struct sidestep_flow_key *key);

/* The signatures are those of struct proxy_hooks; @context is the struct datapath. */
int datapath_own_socket(void *context, int fd);
void datapath_flow_update(void *context, const struct proxy_flow *flow);
void datapath_flow_close(void *context, const struct proxy_flow *flow);

#endif
