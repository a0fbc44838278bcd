/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot of a network namespace: its links, addresses, routes and rules. */
#ifndef SIDESTEP_SNAPSHOT_H
#define SIDESTEP_SNAPSHOT_H

#include <stdint.h>

#include "lib/array.h"
#include "net/netlink_link.h"
#include "net/netlink_route.h"
#include "steering/plan_input.h"
#include "steering/plan_lists.h"

struct snapshot {
	struct array links;	/* struct netlink_link */
	struct array addresses; /* struct netlink_address */
	struct array routes;	/* struct netlink_route */
	struct array rules;	/* struct netlink_rule: ours */
	struct array others;	/* struct netlink_rule: all others, in the kernel's order */
};

/* Repeats a dump that changes in the kernel interrupted. Returns 0 or negative errno, logged; only
 * after 0 is there something to release. */
int snapshot_take(struct netlink *netlink, struct snapshot *ret_snapshot);
void snapshot_release(struct snapshot *snapshot);

/* Returns an input of the plan that has the snapshot's lists, and nothing else. They stay the
 * snapshot's. */
struct plan_input snapshot_input(const struct snapshot *snapshot);

/* Returns the link or NULL. */
const struct netlink_link *snapshot_link(const struct snapshot *snapshot, uint32_t ifindex);

/* Writes our routes and rules to the plan of what is in force. They may be a killed predecessor's.
 * Returns 0 or -ENOMEM. */
int snapshot_adopt(const struct snapshot *snapshot, struct plan *applied);

#endif
