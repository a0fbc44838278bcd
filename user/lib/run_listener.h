/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listening socket of a sidecar at /run/sidestep/NETNS.KIND (lib/run_socket.h), in its owner's
 * epoll set. It survives the lack of file descriptors.
 *
 * Without a free descriptor a client can be neither served nor refused, and a level-triggered
 * listener would keep the owner's loop busy. So a reserve descriptor is closed for a moment to
 * refuse one client. Where another thread takes it first, clients wait until the next one comes.
 */
#ifndef SIDESTEP_RUN_LISTENER_H
#define SIDESTEP_RUN_LISTENER_H

#include <stdint.h>

#include "lib/run_socket.h"

/* Owners embed it. */
struct run_listener {
	char path[RUN_SOCKET_PATH_MAX];
	int fd, epoll, reserve; /* fd and reserve are -1 while it is closed */
	uint32_t data;
};

/* Listens for SOCK_SEQPACKET. @epoll, a set of the caller's, then reports @data as data.u32.
 * Returns 0 or negative errno. In both cases run_listener_close() is due. */
int run_listener_open(struct run_listener *listener, const char *kind, int backlog, int epoll,
		      uint32_t data);

/* Takes one client, after the set has reported it. The set reports the next one. Returns a
 * nonblocking descriptor, which the caller owns, or negative errno. */
int run_listener_accept(struct run_listener *listener);

/* Removes the socket from the file system, too. */
void run_listener_close(struct run_listener *listener);

#endif
