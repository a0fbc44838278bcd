/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening TCP sockets that share a port of the loopback address, one for each thread
 * (SO_REUSEPORT), so that the kernel spreads connections. Nobody else can join them.
 *
 * The kernel lets every process of the same user join such a group, and the application may be of
 * the sidecar's user. So one more socket is bound to the port, and gives up SO_REUSEPORT. It does
 * not listen. From then on a bind to that address fails (inet_csk_bind_conflict(),
 * net/ipv4/inet_connection_sock.c).
 *
 * The sockets of accepted connections keep nobody from a port who binds it with SO_REUSEADDR.
 */
#ifndef SIDESTEP_LISTENER_GROUP_H
#define SIDESTEP_LISTENER_GROUP_H

#include <netinet/in.h>

struct listener_group {
	int family;	/* AF_INET, AF_INET6 */
	in_port_t port; /* network byte order; 0: the first member picks one */
	unsigned int members;
	int guard; /* the socket that keeps others out; -1: none */
};

/* An empty group. */
void listener_group_init(struct listener_group *group, int family);

/* Binds @fd to the group's port, and listens. Returns 0 or negative errno. */
int listener_group_join(struct listener_group *group, int fd, int backlog);

/*
 * Closes the group to everybody, once all members have joined. Returns 0 or negative errno.
 * -EADDRINUSE: somebody else has joined meanwhile. Then the caller closes the members and tries
 * again with another port.
 */
int listener_group_seal(struct listener_group *group);

/* Closes the guard. The members are the caller's. Idempotent. */
void listener_group_release(struct listener_group *group);

#endif
