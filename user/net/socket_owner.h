/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the owner of a TCP socket of this network namespace by its two ends (sock_diag(7)). */
#ifndef SIDESTEP_SOCKET_OWNER_H
#define SIDESTEP_SOCKET_OWNER_H

#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>

#include "lib/netlink_socket.h"

/* Zero-initialised it is closed. */
struct socket_owners {
	struct netlink_socket diag;
	pthread_mutex_t lock;
};

struct socket_owner {
	uint32_t uid;	 /* of the process that made the socket, in our user namespace */
	uint64_t cgroup; /* the number of its control group (v2); 0: not known */
};

/* Returns 0 or negative errno. */
int socket_owners_open(struct socket_owners *owners);

/* Idempotent. */
void socket_owners_close(struct socket_owners *owners);

/*
 * Finds the connected socket from @local to @remote, which are both AF_INET or both AF_INET6.
 * Thread safe. Returns 0, or negative errno. -ENOENT: there is none, or it is bound to a device, or
 * nobody owns it any more.
 */
int socket_owners_find(struct socket_owners *owners, const struct sockaddr *local,
		       const struct sockaddr *remote, struct socket_owner *ret_owner);

/* Finds the control group (v2) of the sockets that this process makes: its own. Opens a socket
 * for a moment. Returns 0 or negative errno. */
int socket_owners_self(uint64_t *ret_cgroup);

#endif
