/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP/1.x request to the control API, parsed as it arrives.
 *
 * The parser (http_head.h) is strict. In addition these are refused:
 *
 * - a Host, X-Dst-Addr, Transfer-Encoding or Expect that comes twice
 * - an HTTP/1.1 request without Host, except CONNECT, because workerd sends none there
 * - a Transfer-Encoding other than "chunked", or together with Content-Length
 * - a CONNECT with a body
 */
#ifndef SIDESTEP_CONTROL_REQUEST_H
#define SIDESTEP_CONTROL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/http_head.h"

/* Limits in bytes: of the body, and of a chunked body on the wire. */
#define CONTROL_BODY_MAX 65536
#define CONTROL_WIRE_MAX (4 * CONTROL_BODY_MAX)
/* The longest value that is kept, with its NUL. No path of the API is as long. */
#define CONTROL_VALUE_MAX 128

enum control_field {
	CONTROL_TARGET,
	CONTROL_HOST,
	CONTROL_DESTINATION, /* X-Dst-Addr */
	CONTROL_TRANSFER_ENCODING,
	CONTROL_EXPECT,
	CONTROL_FIELDS,
};

struct control_request {
	struct http_head head; /* of a refused request: status and reason */
	struct http_value value[CONTROL_FIELDS];
	char text[CONTROL_FIELDS][CONTROL_VALUE_MAX];
	/* The client waits for "100 Continue" before it sends the body; the server clears it. */
	bool continue_due;
	size_t wire_size; /* bytes read so far behind the head */
	char *body;
	size_t body_size, body_capacity;
};

void control_request_init(struct control_request *request);

/* Frees the body. */
void control_request_clear(struct control_request *request);

/* Reads on. When complete, @ret_used is how much of @data belonged to the request. Only HTTP_MORE
 * allows another call. */
enum http_verdict control_request_feed(struct control_request *request, const char *data,
				       size_t size, size_t *ret_used);

/* True once a byte of the request has arrived. */
bool control_request_begun(const struct control_request *request);

llhttp_method_t control_request_method(const struct control_request *request);

/* The target's path without the query: "/egress" also for "http://host/egress?x". Returns @path. */
const char *control_request_path(const struct control_request *request,
				 char path[CONTROL_VALUE_MAX]);

#endif
