/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock that admits one instance per network namespace, and the mark that it is live.
 *
 * The lock is a netlink socket (netlink(7)) in a set of multicast groups of NETLINK_USERSOCK, and
 * the set is the lock's name. The kernel lets a socket join only with CAP_NET_ADMIN in the user
 * namespace that owns the network namespace. An application without that capability can therefore
 * not keep the sidecar from starting. The kernel frees the lock when the process ends in any way,
 * and shows it to other PID namespaces. The mark is another such socket, in another set of groups.
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

/* The same, wherever its process is, by the open files of processes. It takes the rights to see
 * them. Returns 0 if none of those that can be seen holds the lock. */
pid_t instance_holder_search(void);

enum instance_state {
	INSTANCE_NONE,
	INSTANCE_STARTS, /* it holds the lock. It is starting, or stopping */
	INSTANCE_LIVE,
};

/* Marks the lock's holder, which intercepts, as live. The mark lasts until the descriptor is
 * closed. Returns it, which the caller owns, or a negative errno, logged. */
int instance_mark_live(void);

/* Finds out what the calling thread's network namespace has. It needs no rights. Returns 0 or a
 * negative errno. */
int instance_state(enum instance_state *ret_state);

#endif
