/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bridge mode's network namespace. The proxy's listeners live in it, behind a veth pair whose other
 * end is on the host. Only this process holds the namespace. When the process dies, the namespace
 * and the veth pair go, and the host keeps no route, rule or device of ours.
 */
#ifndef SIDESTEP_BRIDGE_NETNS_H
#define SIDESTEP_BRIDGE_NETNS_H

#include <stdint.h>

struct bridge_netns {
	int netns_fd;	       /* the private namespace */
	int host_netns_fd;     /* the namespace that the process started in */
	uint32_t veth_ifindex; /* the host's end */
};

/* Creates the namespace and the veth pair. The calling thread ends up in the host's namespace
 * again. Needs CAP_SYS_ADMIN and CAP_NET_ADMIN. Returns 0 or negative errno, logged. */
int bridge_netns_open(struct bridge_netns *ret_bridge);

/* Move the calling thread into the private namespace, and back. Return 0 or negative errno, logged.
 */
int bridge_netns_enter(const struct bridge_netns *bridge);
int bridge_netns_leave(const struct bridge_netns *bridge);

void bridge_netns_close(struct bridge_netns *bridge);

#endif
