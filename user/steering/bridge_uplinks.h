/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the ports of an intercepted bridge that lead out of the host, such as a network card or a
 * VLAN. The programs are on the bridge itself, which frames from one port to another do not pass.
 * So a container that uses a router behind such a port is not intercepted.
 */
#ifndef SIDESTEP_BRIDGE_UPLINKS_H
#define SIDESTEP_BRIDGE_UPLINKS_H

#include <stddef.h>
#include <stdint.h>

#include "net/netlink_link.h"
#include "steering/plan_lists.h"

/* The bridge that the link is a port of, if frames may leave by it. NULL: there is none. A veth,
 * TUN or TAP device counts as a container's or a virtual machine's. */
const struct netlink_link *bridge_uplink_of(const struct netlink_link *link,
					    const struct netlink_link *links, size_t link_count);

/* The ports that were warned of. Zero-initialised: none. */
struct bridge_uplinks {
	uint32_t *told; /* ifindex */
	size_t count;
};

/* Warns of each such port of the intercepted @bridges once, for as long as it is one. */
void bridge_uplinks_check(struct bridge_uplinks *uplinks, const struct netlink_link *links,
			  size_t link_count, const struct plan_device *bridges,
			  size_t bridge_count);

void bridge_uplinks_release(struct bridge_uplinks *uplinks);

#endif
