/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The characters of a host name, as peers write it in DNS, TLS and HTTP. ASCII only: names are
 * compared without case as RFC 4343 says, independent of the locale.
 */
#ifndef SIDESTEP_HOSTNAME_H
#define SIDESTEP_HOSTNAME_H

#include <stdbool.h>
#include <stddef.h>

/* Characters of the longest name, without NUL. */
#define HOSTNAME_MAX 255
/* The same with ":65535" behind it. */
#define HOSTNAME_PORT_MAX (HOSTNAME_MAX + 6)

/* True for a letter, a digit, '-' and '_'. */
bool hostname_has(char letter);

char hostname_lower(char letter);

/* Length without the dot of the root at the end. */
size_t hostname_length(const char *name);

/* True for 1 to HOSTNAME_MAX letters, digits, '-', '_' and '.'. Such a name is safe in a header. */
bool hostname_valid(const char *name, size_t size);

/* True for 1 to HOSTNAME_PORT_MAX of these characters, ':', '[' and ']': a name or an address, with
 * or without a port. Just as safe in a header. */
bool hostname_valid_with_port(const char *name, size_t size);

/* Length without the port, if there is one: of "name:80", "192.0.2.1:80" or "[2001:db8::1]:80". */
size_t hostname_length_without_port(const char *name);

#endif
