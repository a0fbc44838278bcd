/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A socket address of any family that the gateway may have: IPv4, IPv6 or unix. AF_UNSPEC stands
 * for an address that is not known yet, with a port that is.
 */
#ifndef SIDESTEP_SOCKET_ADDRESS_H
#define SIDESTEP_SOCKET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* "unix:" and the path of a sockaddr_un, or an endpoint, with its NUL. */
#define SOCKET_ADDRESS_TEXT_MAX 128

struct socket_address {
	struct sockaddr_storage address; /* AF_INET, AF_INET6, AF_UNIX or AF_UNSPEC */
	socklen_t size;			 /* bytes used of it; 0: none */
};

/* Makes an AF_UNIX address. Returns 0, or -EINVAL when @path is not absolute or too long. */
int socket_address_unix(const char *path, struct socket_address *ret_address);

/* Makes an AF_UNSPEC address with the port (network byte order), or one of @address, which is as in
 * lib/address.h. */
void socket_address_unknown(in_port_t port, struct socket_address *ret_address);
void socket_address_inet(const uint8_t address[16], in_port_t port,
			 struct socket_address *ret_address);

/* Prints "192.0.2.1:80", "[2001:db8::1]:80", "unix:/path" or "unknown:80". Returns @text. */
const char *socket_address_format(const struct socket_address *address,
				  char text[SOCKET_ADDRESS_TEXT_MAX]);

/* Returns the place of the port (network byte order) in the address; NULL for AF_UNIX. */
in_port_t *socket_address_port(struct socket_address *address);

/* Tells whether it is a loopback address: 127.0.0.0/8 or ::1. */
bool socket_address_is_loopback(const struct socket_address *address);

bool socket_address_equal(const struct socket_address *a, const struct socket_address *b);

#endif
