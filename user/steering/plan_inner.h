/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells inner devices from uplinks. An inner device leads to containers or virtual machines inside
 * the intercepted container, such as the bridge of an inner Docker engine. They send to the outside
 * by way of this namespace, which forwards. Pure, no I/O.
 *
 * A device that is not known to be inner is an uplink, and guarded. A bridge that is wrongly taken
 * for inner lets nothing out either, because each uplink has the guard, also as a port of a bridge.
 */
#ifndef SIDESTEP_PLAN_INNER_H
#define SIDESTEP_PLAN_INNER_H

#include "steering/plan_input.h"

/*
 * Whether the link is inner. A veth is, if it leads to another namespace than any uplink. A bridge
 * is, if all its ports are such veths, TAP devices, or veths whose other end is here.
 */
bool plan_inner_is(const struct plan_input *input, const struct netlink_link *link);

/* Whether it is a port of such a bridge. Packets of the namespace do not pass it by itself. */
bool plan_inner_is_port(const struct plan_input *input, const struct netlink_link *link);

/* Whether the main route leads to an inner device's link, which is bypassed then. */
bool plan_inner_route(const struct plan_input *input, const struct netlink_route *route);

/* Whether a default route leads to the link, or to a bridge that it is a port of. */
bool plan_inner_has_default(const struct plan_input *input, const struct netlink_link *link);

#endif
