/* SPDX-License-Identifier: Apache-2.0 */
/* Sends requests to the kernel over netlink (libmnl) and takes the replies, on any bus. */
#ifndef SIDESTEP_NETLINK_SOCKET_H
#define SIDESTEP_NETLINK_SOCKET_H

#include <libmnl/libmnl.h>

/* It belongs to one thread at a time. Zero-initialised it is closed. */
struct netlink_socket {
	struct mnl_socket *socket;
	unsigned int sequence;
};

/* Opens a socket of the calling thread's network namespace. @bus: NETLINK_*. Returns 0 or negative
 * errno. */
int netlink_socket_open(struct netlink_socket *socket, int bus);

/* Idempotent. */
void netlink_socket_close(struct netlink_socket *socket);

#define _cleanup_netlink_socket_ __attribute__((cleanup(netlink_socket_close)))

/*
 * Sends the request @header, and hands each reply to @callback with @context as its data. With
 * NLM_F_DUMP it asks for all objects, else for an acknowledgement as well. Returns 0, or negative
 * errno after everything was read. -EINTR: changes interrupted the dump, which may lack objects.
 */
int netlink_socket_talk(struct netlink_socket *socket, struct nlmsghdr *header, mnl_cb_t callback,
			void *context);

#endif
