/* SPDX-License-Identifier: Apache-2.0 */
/* One instance for each network namespace. */
#ifndef SIDESTEP_INSTANCE_LOCK_H
#define SIDESTEP_INSTANCE_LOCK_H

/*
 * Takes the lock of the calling thread's network namespace: a socket in the abstract namespace
 * (unix(7)), which is the network namespace's own and goes with the process, however it ends.
 * Returns its file descriptor (the caller's) or negative errno, logged; -EADDRINUSE: taken, and the
 * message names the holder.
 */
int instance_lock(void);

/* The process that holds the lock here, 0 when it is of another PID namespace, -1: nobody. */
int instance_holder(void);

#endif
