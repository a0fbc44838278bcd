/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of one HTTP/1.x message, parsed as it arrives (RFC 9110, RFC 9112), and on request the
 * body behind it.
 *
 * llhttp parses in strict mode. A folded line (RFC 9112 section 5.2) is refused as well. Nothing is
 * kept of a head except the values that its owner names.
 */
#ifndef SIDESTEP_HTTP_HEAD_H
#define SIDESTEP_HTTP_HEAD_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>

/* The longest head, in bytes, unless the owner sets another limit. */
#define HTTP_HEAD_MAX 16384

enum http_verdict {
	HTTP_MORE,     /* more bytes are needed */
	HTTP_COMPLETE, /* the last byte was read */
	HTTP_REFUSED,  /* the head's status and reason say why */
};

/* A value of the head that is kept: the request's target, or a header field. */
struct http_value {
	const char *name;   /* of the field, in lower case; NULL: the target */
	char *text;	    /* the owner's buffer; always NUL-terminated */
	size_t size;	    /* of the buffer */
	size_t length;	    /* of the text, without white space at the end */
	unsigned int count; /* times that the field came; the values are joined */
	bool cut;	    /* the value did not fit its buffer */
};

struct http_head {
	llhttp_t parser;
	struct http_value *values;
	unsigned int value_count;
	int value;    /* index of the value in progress; -1: none of ours */
	size_t limit; /* HTTP_HEAD_MAX; the owner may change it before the first byte */
	size_t size;  /* bytes read so far of the head */
	char last;    /* the last of these bytes, to recognise a folded line */
	bool complete;
	char name[24]; /* of the field in progress, cut */
	size_t name_length;
	unsigned int status; /* a server's answer to what was refused: 400, 431 */
	const char *reason;  /* the same in words, static */
	/* Takes a piece of the body. Non-zero: the owner has refused it. */
	int (*body)(struct http_head *head, const char *data, size_t size);
};

/* @values are the owner's, with name, text and size set. NULL is allowed when @count is 0. */
void http_head_init(struct http_head *head, llhttp_type_t type, struct http_value *values,
		    unsigned int count);

/* Reads on. @ret_used is how much of @data belonged to the head, and is set when complete. */
enum http_verdict http_head_feed(struct http_head *head, const char *data, size_t size,
				 size_t *ret_used);

/* Starts on the body of a complete head; head->body is set. */
void http_head_start_body(struct http_head *head);

/* Reads on in the body, and is called at least once: with @size 0 it completes a message that has
 * no body. @ret_used as above; the trailer of a chunked body belongs to it. */
enum http_verdict http_head_feed_body(struct http_head *head, const char *data, size_t size,
				      size_t *ret_used);

/* Refuses the message for a rule of the owner. Returns HTTP_REFUSED. */
enum http_verdict http_head_refuse(struct http_head *head, unsigned int status, const char *reason);

#endif
