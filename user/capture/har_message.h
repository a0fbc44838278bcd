/* SPDX-License-Identifier: Apache-2.0 */
/* Turns one direction of an HTTP/1.x connection into the objects of an HTTP archive (har.h). */
#ifndef SIDESTEP_HAR_MESSAGE_H
#define SIDESTEP_HAR_MESSAGE_H

#include <jansson.h>
#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a body that the archive has at most; the rest is counted. */
#define HAR_BODY_MAX (1 << 20)

/* Bytes of a head at most. The connection of a longer one is left out. */
#define HAR_HEAD_MAX (256 << 10)

/* Bytes of messages that are kept at a time, of all connections. One that needs more is left out.
 */
#define HAR_KEPT_MAX (64 << 20)

struct har_bytes {
	char *data;
	size_t size, capacity;
};

/* A parsed message. Its owner takes what it needs in done(). */
struct har_message {
	uint64_t begin_us, end_us; /* of its first and its last byte */
	struct har_bytes target;   /* of a request */
	struct har_bytes reason;   /* of a response */
	struct har_bytes body;
	json_t *headers; /* an array of {name, value} */
	size_t body_size;
	size_t head_size; /* bytes that are kept of the head, and its fields' overhead */
	size_t kept;	  /* those and the bytes of the body that are kept */
	char host[256];	  /* the field Host; "" without one */
	char type[256];	  /* the field Content-Type */
	char location[1024];
};

struct har_parser {
	llhttp_t parser;
	struct har_message message;
	struct har_bytes field, value;
	uint64_t now_us;
	size_t *kept; /* the sum of all messages that are kept */
	bool failed;  /* it is no HTTP/1.x, or no longer, or there was no memory */
	bool full;    /* it has failed because of a limit */
	/* Tells whether the response in progress answers a HEAD request. */
	bool (*has_no_body)(struct har_parser *parser);
	/* A message is complete. Its contents are freed behind the call. */
	void (*done)(struct har_parser *parser);
};

/* @type: HTTP_REQUEST or HTTP_RESPONSE. @kept counts bytes. The callbacks are set afterwards. */
void har_parser_init(struct har_parser *parser, llhttp_type_t type, size_t *kept);
void har_parser_release(struct har_parser *parser);

/* Reads on in bytes that passed at @now_us after the epoch. */
void har_parser_feed(struct har_parser *parser, uint64_t now_us, const char *data, size_t size);

/* The connection has ended, which completes a response without a length. */
void har_parser_end(struct har_parser *parser, uint64_t now_us);

/* Make the archive's objects `request` and `response`. @name: the host's, where the request has no
 * field Host. NULL: no memory. */
json_t *har_request(const struct har_parser *parser, const char *name);
json_t *har_response(const struct har_parser *parser);

#endif
