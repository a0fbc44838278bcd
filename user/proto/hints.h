/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the destination's name in a client's first bytes. That is the server name of a TLS
 * ClientHello (RFC 6066 section 3), or the Host of an HTTP/1.x request (RFC 9112 section 3.2).
 *
 * The bytes are hostile. A name is reported only when hostname.h calls it valid, so it is safe in a
 * header.
 */
#ifndef SIDESTEP_HINTS_H
#define SIDESTEP_HINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/http_head.h"

/* At most so many bytes are looked at; also the limit of the caller's buffer. */
#define HINTS_MAX 65536
/* A name of 255 characters, ":65535" and NUL. */
#define HINTS_NAME_MAX 264

enum hints_kind {
	HINTS_NONE,
	HINTS_SNI,
	HINTS_HOST,
};

/* The result is @kind and @name, and @hello. */
struct hints {
	enum hints_kind kind; /* HINTS_NONE: no name was found */
	char name[HINTS_NAME_MAX];
	bool hello;	/* the bytes are a ClientHello, or the beginning of one */
	bool tls, http; /* the protocols to look for */
	bool decided;	/* the first byte has chosen one of them */
	/* TLS: offset of the first record not looked at yet, handshake bytes in front of it. */
	size_t offset;
	size_t gathered;
	/* HTTP: bytes given to the parser, and the values that it keeps. */
	size_t parsed;
	struct http_head head;
	struct http_value value[2];
	char target[2]; /* the first character of the target */
};

void hints_init(struct hints *hints, bool tls, bool http);

/*
 * Looks at @data: all bytes since the first, so each call passes those of the last one and more.
 * Returns true when the answer is final, false when more bytes could change it. At HINTS_MAX bytes
 * it is always final.
 */
bool hints_feed(struct hints *hints, const uint8_t *data, size_t size);

#endif
