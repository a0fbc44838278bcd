/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps local ports free for connections to the gateway.
 *
 * The end of a connection that closes first keeps its port in TIME_WAIT for a minute (RFC 9293
 * section 3.6.1). All connections to the gateway have the same three other parts, so 500 a second
 * use up the kernel's range. Before that, connect(2) searches ever longer for a free port. So the
 * oldest of our own connections in TIME_WAIT are ended early (SOCK_DESTROY), as soon as they hold
 * more than a part of the range. Both ends have closed by then, and no byte is under way.
 */
#ifndef SIDESTEP_TIME_WAITS_H
#define SIDESTEP_TIME_WAITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "lib/netlink_socket.h"

struct time_wait;

/* Those of one thread. Zero-initialised: none. */
struct time_waits {
	struct time_wait *ring; /* oldest first, from @first on; NULL: not in use yet */
	size_t capacity, first, count;
	struct netlink_socket diag;
	bool off; /* the kernel refuses, or there is no memory */
};

/* @fd is a socket that was connected to @peer, that has closed first, and that is about to be
 * closed. A unix socket is left out. @threads share the local ports. Belongs to the network
 * namespace of the first call. */
void time_waits_add(struct time_waits *waits, int fd, const struct sockaddr *peer,
		    unsigned int threads, uint64_t now_ms);

/* Frees; connections in TIME_WAIT stay. Idempotent. */
void time_waits_clear(struct time_waits *waits);

#endif
