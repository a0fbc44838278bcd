/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepts the connections of one listening socket on an event loop, and survives the lack of file
 * descriptors.
 *
 * Without a free descriptor a waiting connection can be neither accepted nor refused, and a
 * level-triggered listener would keep the loop busy. So the acceptors of one thread share a reserve
 * descriptor. It is closed for a moment to accept one connection and reset it. If even that fails,
 * the listener rests for a few milliseconds.
 */
#ifndef SIDESTEP_ACCEPTOR_H
#define SIDESTEP_ACCEPTOR_H

#include <sys/socket.h>

#include "stream/loop.h"

/* Shared by the acceptors of one thread. */
struct acceptor_reserve {
	struct loop *loop;
	struct loop_timer_class pause_class;
	int fd;
};

/* Owners embed it. Zero-initialised with listener.fd = -1 it is closed. */
struct acceptor {
	struct loop_handler listener; /* its fd stays the acceptor's */
	struct acceptor_reserve *reserve;
	struct loop_timer pause;
	/* A connection has arrived. @fd is nonblocking, and the callee's from here on. */
	void (*accepted)(struct acceptor *acceptor, int fd, const struct sockaddr_storage *peer);
	/* No descriptor is left. @fd must be closed before this returns, preferably with a reset.
	 * A negative @fd and a NULL @peer mean that the listener rests. */
	void (*exhausted)(struct acceptor *acceptor, int fd, const struct sockaddr_storage *peer);
};

/* Opens the reserve descriptor. Returns 0 or negative errno, and then fd is -1. */
int acceptor_reserve_open(struct acceptor_reserve *reserve, struct loop *loop);

/* After the loop has run. Idempotent. */
void acceptor_reserve_close(struct acceptor_reserve *reserve);

/* Accepts from @fd, a nonblocking listening socket, which is the acceptor's from here on, also on
 * failure. The callbacks are set. Returns 0 or negative errno. */
int acceptor_start(struct acceptor *acceptor, struct acceptor_reserve *reserve, int fd);

/* Closes the listening socket. Idempotent. */
void acceptor_close(struct acceptor *acceptor);

#endif
