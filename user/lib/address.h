/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP addresses, endpoints and prefixes: parsing and printing, without name resolution.
 *
 * Addresses are kept as 16 bytes in network byte order; IPv4 is kept IPv4-mapped (::ffff:0:0/96,
 * RFC 4291 section 2.5.5.2), so that one comparison serves both families.
 */
#ifndef SIDESTEP_ADDRESS_H
#define SIDESTEP_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* "[0123:4567:89ab:cdef:0123:4567:255.255.255.255]:65535" with its NUL fits. */
#define ADDRESS_TEXT_MAX 64

struct prefix {
	uint8_t address[16]; /* network byte order, host bits zero, IPv4 mapped */
	uint8_t length;	     /* bits, 0..128; an IPv4 prefix /n has 96 + n */
};

struct endpoint {
	struct sockaddr_storage address; /* AF_INET or AF_INET6, never IPv4-mapped AF_INET6 */
};

/* True when the 16 bytes hold an IPv4 address (IPv4-mapped). */
bool address_is_ipv4(const uint8_t address[16]);

/* Parses a literal IPv4 or IPv6 address, no brackets. Returns 0 or -EINVAL. */
int address_parse(const char *text, uint8_t ret_address[16]);

/* "192.0.2.1" or "2001:db8::1". Returns @text. */
const char *address_format(const uint8_t address[16], char text[ADDRESS_TEXT_MAX]);

/* The 16-byte form of an AF_INET or AF_INET6 socket address. */
void address_from_sockaddr(const struct sockaddr *from, uint8_t ret_address[16]);

/* Parses "192.0.2.0/24", "2001:db8::/32" or an address alone (/32, /128). Host bits that are set
 * are an error, since they nearly always are a slip: -ERANGE. Anything else wrong: -EINVAL. */
int prefix_parse(const char *text, struct prefix *ret_prefix);

/* The same, with host bits cleared instead of refused (for what other programs report). */
int prefix_parse_lenient(const char *text, struct prefix *ret_prefix);

/* "192.0.2.0/24". Returns @text. */
const char *prefix_format(const struct prefix *prefix, char text[ADDRESS_TEXT_MAX]);

bool prefix_equal(const struct prefix *a, const struct prefix *b);
bool prefix_contains(const struct prefix *prefix, const uint8_t address[16]);

/* Parses "192.0.2.1:80" or "[2001:db8::1]:80", port 0..65535. Returns 0 or -EINVAL. */
int endpoint_parse(const char *text, struct endpoint *ret_endpoint);

/* "192.0.2.1:80" or "[2001:db8::1]:80"; IPv4-mapped prints as IPv4. Returns @text. */
const char *endpoint_format(const struct sockaddr *address, char text[ADDRESS_TEXT_MAX]);

/* Size of the AF_INET or AF_INET6 address held, for connect(2) and bind(2). */
socklen_t endpoint_size(const struct endpoint *endpoint);

#endif
