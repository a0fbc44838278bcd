/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock that admits one instance per network namespace.
 *
 * The lock is a netlink socket (netlink(7)) in a set of multicast groups of NETLINK_USERSOCK, and
 * the set is the lock's name. The kernel lets a socket join only with CAP_NET_ADMIN in the user
 * namespace that owns the network namespace. An application without that capability can therefore
 * not keep the sidecar from starting. The kernel frees the lock when the process ends in any way,
 * and shows it to other PID namespaces.
 */
#ifndef SIDESTEP_INSTANCE_LOCK_H
#define SIDESTEP_INSTANCE_LOCK_H

#include <sys/types.h>

/*
 * Takes the lock of the calling thread's network namespace. Waits up to 0.5 s for a holder that
 * ends. Returns a file descriptor, which the caller owns, or a negative errno, logged. -EADDRINUSE:
 * another instance holds it, and the message names that process.
 */
int instance_lock(void);

/* Returns the lock holder's process ID, 0 when it is not known, or -1: no holder. It is not known
 * if the holder is in another PID namespace. */
pid_t instance_holder(void);

#endif
