/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An rtnetlink connection (libmnl), and a monitor of the namespace's changes. It belongs to one
 * thread and to the network namespace in which it was opened. net/netlink_link.h and
 * net/netlink_route.h declare the requests.
 */
#ifndef SIDESTEP_NETLINK_H
#define SIDESTEP_NETLINK_H

#include <stdbool.h>

/* rtm_protocol and FRA_PROTOCOL of each route and rule that sidestep installs. Leftovers are
 * recognised by it. It is not in /etc/iproute2/rt_protos, so `ip route` prints "proto 93". */
#define NETLINK_PROTOCOL_SIDESTEP 93

struct netlink;

/* Returns 0 or negative errno. */
int netlink_open(struct netlink **ret_netlink);

/* NULL is allowed. */
void netlink_close(struct netlink *netlink);

static inline void netlink_closep(struct netlink **netlink)
{
	netlink_close(*netlink);
}
#define _cleanup_netlink_ __attribute__((cleanup(netlink_closep)))

/* Opens a socket that becomes readable when links or addresses of the namespace change. @routes:
 * also when routes or rules do. Returns its file descriptor (the caller's) or negative errno. */
int netlink_monitor_open(bool routes);

/* Empties the monitor. Returns true when anything changed or the kernel dropped notices. */
bool netlink_monitor_drain(int fd);

#endif
