/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bridge mode's network namespace: the proxy's listeners live in it, behind a veth pair whose other
 * end is on the host. It is nobody's but the process's: when that dies, namespace and veth go, and
 * no route, rule or device of ours is left on the host.
 */
#ifndef SIDESTEP_BRIDGE_NETNS_H
#define SIDESTEP_BRIDGE_NETNS_H

#include <stdint.h>

struct bridge {
	int netns_fd;	       /* the private namespace */
	int host_netns_fd;     /* where the process came from */
	uint32_t veth_ifindex; /* the host's end */
};

/* Makes all of it. The calling thread is in the host's namespace again afterwards. Needs
 * CAP_SYS_ADMIN and CAP_NET_ADMIN. Returns 0 or negative errno, logged. */
int bridge_open(struct bridge *ret_bridge);

/* Moves the calling thread into the private namespace, and back. 0 or negative errno, logged. */
int bridge_enter(const struct bridge *bridge);
int bridge_leave(const struct bridge *bridge);

void bridge_close(struct bridge *bridge);

#endif
