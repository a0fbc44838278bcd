/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens, enters and identifies network namespaces (network_namespaces(7)).
 */
#ifndef SIDESTEP_NETNS_H
#define SIDESTEP_NETNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Opens the calling thread's network namespace. Returns a descriptor, which the caller owns, or a
 * negative errno. */
int netns_open_own(void);

/* Opens that of process @pid. Returns a descriptor, which the caller owns, or a negative errno. The
 * process may have ended meanwhile; the caller checks that it has not. */
int netns_open_of(pid_t pid);

/* Moves the calling thread into a new network namespace and opens that. Returns a descriptor, which
 * the caller owns, or a negative errno; -EPERM without CAP_SYS_ADMIN. */
int netns_new(void);

/* Moves the calling thread into the namespace. Returns 0 or a negative errno. */
int netns_enter(int netns_fd);

/*
 * Returns in *@ret_cookie the cookie of a socket's network namespace (SO_NETNS_COOKIE, Linux 5.14).
 * The kernel counts cookies up from 1 and reuses none. Returns 0 or a negative errno; -ENOPROTOOPT
 * on older kernels.
 */
int netns_cookie_of(int socket_fd, uint64_t *ret_cookie);

/* The same for the calling thread's namespace. */
int netns_cookie_own(uint64_t *ret_cookie);

/* Tells whether the calling thread is in the network namespace that the kernel started with, which
 * is the machine's own. Containers never are, unless they share it (docker run --network host). */
bool netns_is_initial(void);

#endif
