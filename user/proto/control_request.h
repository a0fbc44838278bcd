/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP/1.x request to the control API, parsed as it arrives (RFC 9110, RFC 9112).
 *
 * llhttp in strict mode parses; refused on top of what it refuses: folded lines, a Host,
 * X-Dst-Addr, Transfer-Encoding or Expect that comes twice, an HTTP/1.1 request without Host (but
 * for CONNECT, where workerd sends none), Transfer-Encoding other than "chunked" or together with
 * Content-Length, a CONNECT with a body. Nothing of the head is kept but what is named below.
 */
#ifndef SIDESTEP_CONTROL_REQUEST_H
#define SIDESTEP_CONTROL_REQUEST_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>

/* Limits in bytes: head, body, and what a chunked body may take on the wire. */
#define CONTROL_HEAD_MAX 16384
#define CONTROL_BODY_MAX 65536
#define CONTROL_WIRE_MAX (4 * CONTROL_BODY_MAX)
/* The longest value that is kept, with its NUL; a longer path is one that does not exist. */
#define CONTROL_VALUE_MAX 128

enum control_verdict {
	CONTROL_MORE,	  /* not complete */
	CONTROL_COMPLETE, /* the whole request is there */
	CONTROL_REFUSED,  /* see @status and @reason */
};

enum control_field {
	CONTROL_HOST,
	CONTROL_DESTINATION, /* X-Dst-Addr */
	CONTROL_TRANSFER_ENCODING,
	CONTROL_EXPECT,
	CONTROL_FIELDS,
};

struct control_request {
	llhttp_t parser;
	unsigned int status; /* of the refusal */
	const char *reason;  /* the same in words, static */
	bool head_complete;
	/* The client waits for "100 Continue" before it sends the body; the server clears it. */
	bool continue_due;
	size_t head_size, wire_size; /* bytes read so far of the head, and behind it */
	char last;		     /* the last byte of the head so far, to see a folded line */

	char target[CONTROL_VALUE_MAX]; /* the request's target, cut where it is longer */
	size_t target_length;
	char value[CONTROL_FIELDS][CONTROL_VALUE_MAX]; /* without spaces at the end */
	size_t length[CONTROL_FIELDS];
	unsigned int count[CONTROL_FIELDS]; /* how often the header came */
	bool too_long;			    /* one of the values above */
	char name[24];			    /* of the header in progress, cut */
	size_t name_length;
	int field; /* where its value goes, -1: nowhere */

	char *body;
	size_t body_size, body_capacity;
};

void control_request_init(struct control_request *request);

/* Frees the body. */
void control_request_clear(struct control_request *request);

/* Reads on. When complete, @ret_used is how much of @data belonged to the request. No more may be
 * fed once the verdict is another than CONTROL_MORE. */
enum control_verdict control_request_feed(struct control_request *request, const char *data,
					  size_t size, size_t *ret_used);

/* Has anything but blank lines arrived? */
bool control_request_begun(const struct control_request *request);

llhttp_method_t control_request_method(const struct control_request *request);

/* The target's path, without the query: "/egress" also for "http://host/egress?x". Returns
 * @path. */
const char *control_request_path(const struct control_request *request,
				 char path[CONTROL_VALUE_MAX]);

#endif
