/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1.1 CONNECT exchange that opens a tunnel (RFC 9110 section 9.3.6), both ends of it:
 * the request that the proxy writes and the gateway reads, and the answer.
 *
 * Heads are parsed by llhttp as they arrive, nothing of them is kept but what is named below.
 * Folded lines (RFC 9112 section 5.2) are refused on top of what llhttp refuses.
 */
#ifndef SIDESTEP_TUNNEL_H
#define SIDESTEP_TUNNEL_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "proto/hints.h"

/* The longest head that is read; bytes. */
#define TUNNEL_HEAD_MAX 16384
/* Fits every request that tunnel_request_format() writes. */
#define TUNNEL_REQUEST_MAX 1024
/* The longest header value that is kept, with its NUL. */
#define TUNNEL_VALUE_MAX 320

/* Writes the request for one connection, NUL-terminated; @hints may be NULL. Returns its length. */
size_t tunnel_request_format(char text[TUNNEL_REQUEST_MAX], const struct sockaddr *source,
			     const struct sockaddr *destination, const struct hints *hints);

enum tunnel_verdict {
	TUNNEL_MORE,	 /* the head is not complete */
	TUNNEL_COMPLETE, /* the head is there, the rest belongs to the tunnel */
	TUNNEL_GARBAGE,	 /* not HTTP, or an HTTP that is refused; see @reason */
};

/* A head that is being read. */
struct tunnel_head {
	llhttp_t parser;
	size_t size; /* bytes of it so far */
	const char *reason;
	char last; /* the last byte, to see a folded line */
	bool fresh;
};

/* An answer; @status is valid when complete. Interim answers (1xx but 101) are skipped. */
struct tunnel_answer {
	struct tunnel_head head;
	int status;
};

void tunnel_answer_init(struct tunnel_answer *answer);

/* Reads on. @ret_used is how much of @data belonged to the head, when complete. */
enum tunnel_verdict tunnel_answer_feed(struct tunnel_answer *answer, const char *data, size_t size,
				       size_t *ret_used);

/* A request's fields, empty where it had none; too long ones are garbage. */
enum tunnel_field {
	TUNNEL_TARGET, /* the authority after CONNECT */
	TUNNEL_HOST,
	TUNNEL_USER_AGENT,
	TUNNEL_FORWARDED_FOR,
	TUNNEL_PROTO,
	TUNNEL_SNI,
	TUNNEL_HOSTNAME,
	TUNNEL_FIELDS,
};

struct tunnel_request {
	struct tunnel_head head;
	char value[TUNNEL_FIELDS][TUNNEL_VALUE_MAX];
	size_t length[TUNNEL_FIELDS];
	unsigned int hosts;
	char name[32]; /* of the header in progress */
	size_t name_length;
	int field; /* where its value goes, -1: nowhere */
};

void tunnel_request_init(struct tunnel_request *request);

/* As tunnel_answer_feed(). Garbage is any other method, too, and a Host missing or repeated. */
enum tunnel_verdict tunnel_request_feed(struct tunnel_request *request, const char *data,
					size_t size, size_t *ret_used);

#endif
