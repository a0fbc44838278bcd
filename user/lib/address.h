/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parses and prints IP addresses, endpoints and prefixes, without name resolution.
 *
 * An address is 16 bytes in network byte order. IPv4 is kept IPv4-mapped (::ffff:0:0/96, RFC 4291
 * section 2.5.5.2), so that one comparison serves both families.
 */
#ifndef SIDESTEP_ADDRESS_H
#define SIDESTEP_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Has room for "[0123:4567:89ab:cdef:0123:4567:255.255.255.255]:65535" and its NUL. */
#define ADDRESS_TEXT_MAX 64

struct prefix {
	uint8_t address[16]; /* network byte order, host bits zero, IPv4 mapped */
	uint8_t length;	     /* bits, 0..128; an IPv4 prefix /n has 96 + n */
};

struct endpoint {
	struct sockaddr_storage address; /* AF_INET or AF_INET6, never IPv4-mapped AF_INET6 */
};

/* Tells whether the 16 bytes hold an IPv4 address (IPv4-mapped). */
bool address_is_ipv4(const uint8_t address[16]);

/* Parses a literal IPv4 or IPv6 address without brackets. Returns 0 or -EINVAL. */
int address_parse(const char *text, uint8_t ret_address[16]);

/* Prints "192.0.2.1" or "2001:db8::1". Returns @text. */
const char *address_format(const uint8_t address[16], char text[ADDRESS_TEXT_MAX]);

/* Stores the 16-byte form of an AF_INET address's 4 bytes, or of an AF_INET6 address's 16. */
void address_from_bytes(int family, const void *bytes, uint8_t ret_address[16]);

/* Stores the 16-byte form of an AF_INET or AF_INET6 socket address. */
void address_from_sockaddr(const struct sockaddr *from, uint8_t ret_address[16]);

/* Returns 0.0.0.0/0 or ::/0, and tells whether a prefix is one of them. */
struct prefix prefix_default(int family);
bool prefix_is_default(const struct prefix *prefix);

/* Parses "192.0.2.0/24", "2001:db8::/32", or an address alone as /32 or /128. Returns 0, -ERANGE
 * for host bits that are set, which nearly always are a slip, or -EINVAL. */
int prefix_parse(const char *text, struct prefix *ret_prefix);

/* The same, but clears host bits instead of refusing them, for prefixes that other programs report.
 */
int prefix_parse_lenient(const char *text, struct prefix *ret_prefix);

/* Prints "192.0.2.0/24". Returns @text. */
const char *prefix_format(const struct prefix *prefix, char text[ADDRESS_TEXT_MAX]);

/* Clears the bits behind the length. Returns true if any was set. */
bool prefix_clear_host_bits(struct prefix *prefix);

bool prefix_equal(const struct prefix *a, const struct prefix *b);
bool prefix_contains(const struct prefix *prefix, const uint8_t address[16]);

/* Tells whether one of @count prefixes contains an AF_INET or AF_INET6 socket address. */
bool prefixes_contain(const struct prefix *prefixes, size_t count, const struct sockaddr *address);

/* Parses "192.0.2.1:80" or "[2001:db8::1]:80", port 0..65535. Returns 0 or -EINVAL. */
int endpoint_parse(const char *text, struct endpoint *ret_endpoint);

/* Prints "192.0.2.1:80" or "[2001:db8::1]:80", and IPv4-mapped addresses as IPv4. Returns @text. */
const char *endpoint_format(const struct sockaddr *address, char text[ADDRESS_TEXT_MAX]);

/* Returns the size of the AF_INET or AF_INET6 address in bytes, for connect(2) and bind(2). */
socklen_t endpoint_size(const struct endpoint *endpoint);

#endif
