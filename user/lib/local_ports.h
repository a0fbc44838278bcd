/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local ports of the network namespace. The kernel takes those of clients from a range, and
 * servers bind those below it. Sockets of ours that hold a port for long take it from above the
 * range, where an application hardly ever binds one.
 */
#ifndef SIDESTEP_LOCAL_PORTS_H
#define SIDESTEP_LOCAL_PORTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct local_ports {
	uint16_t low, high;
};

/* Reads the range of clients' ports (ip(7), ip_local_port_range). False: it is not known. */
bool local_ports_read(struct local_ports *ret_range);

/*
 * Binds @fd to @address (AF_INET, AF_INET6), and sets the port there. It is a random one above the
 * range, or else the kernel's choice. The socket should not share its port yet, or it may join
 * somebody else's. Returns 0 or negative errno.
 */
int local_ports_bind_above(int fd, struct sockaddr *address, socklen_t size);

#endif
