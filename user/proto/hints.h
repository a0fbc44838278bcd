/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client's first bytes say about where it wants to go: the server name of a TLS
 * ClientHello (RFC 6066 section 3) or the host of an HTTP/1.x request (RFC 9112 section 3.2).
 *
 * The bytes are hostile. A name is reported only when it is made of characters that a host name
 * or an address can have, and so is safe in a header.
 */
#ifndef SIDESTEP_HINTS_H
#define SIDESTEP_HINTS_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* First bytes that are looked at, at most; also the caller's buffer limit. */
#define HINTS_MAX 65536
/* A name of 255 characters, ":65535" and NUL. */
#define HINTS_NAME_MAX 264

enum hints_kind {
	HINTS_NONE,
	HINTS_SNI,
	HINTS_HOST,
};

/* To be initialised by hints_init(); @kind and @name are the result. */
struct hints {
	enum hints_kind kind; /* what @name is; HINTS_NONE: nothing was found */
	char name[HINTS_NAME_MAX];
	bool tls, http; /* what to look for */
	bool decided;	/* the first byte was seen and chose one of them */
	bool hello;	/* result: a ClientHello, or as much of one as has come */
	/* TLS: the first record not looked at yet, and handshake bytes gathered before it. */
	size_t offset;
	size_t gathered;
	/* HTTP */
	size_t parsed; /* bytes given to the parser */
	size_t field, value;
	bool is_host, invalid, absolute;
	unsigned int hosts;
	llhttp_t parser;
};

void hints_init(struct hints *hints, bool tls, bool http);

/*
 * Looks at @data, all bytes from the first on: each call has what the last one had and more.
 * Returns true when the answer is final, false when more bytes could still tell. Bounded by
 * HINTS_MAX, at which it always is final.
 */
bool hints_feed(struct hints *hints, const uint8_t *data, size_t size);

/* True for 1 to 255 letters, digits, '-', '_' and '.'; with @port also ':' '[' and ']' and up to
 * six characters more. */
bool hints_name_valid(const char *name, size_t size, bool port);

#endif
