/* SPDX-License-Identifier: Apache-2.0 */
/* The lock that admits one instance per network namespace. */
#ifndef SIDESTEP_INSTANCE_LOCK_H
#define SIDESTEP_INSTANCE_LOCK_H

/*
 * Takes the lock of the calling thread's network namespace. The lock is a socket with an abstract
 * name (unix(7)). Each network namespace has its own abstract names, and the kernel frees the name
 * when the process ends in any way. Returns the socket's file descriptor (the caller's) or negative
 * errno, logged. -EADDRINUSE: another instance holds it, and the message names that process.
 */
int instance_lock(void);

/* Returns the lock holder's process ID, 0 when it is in another PID namespace, or -1: no holder. */
int instance_holder(void);

#endif
