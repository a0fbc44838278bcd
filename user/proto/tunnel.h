/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of the HTTP/1.1 CONNECT exchange that opens a tunnel (RFC 9110 section 9.3.6). The
 * proxy writes the request and reads the answer. The gateway reads the request.
 */
#ifndef SIDESTEP_TUNNEL_H
#define SIDESTEP_TUNNEL_H

#include <stddef.h>

#include "proto/hints.h"
#include "proto/http_head.h"

struct sockaddr;

/*
 * The meaning of a gateway's 200. An ordinary CONNECT proxy has opened a tunnel and forwards its
 * bytes as they are. workerd asks for the plaintext of TLS. A gateway of either protocol may
 * declare that it takes plaintext: "X-Tls-Plaintext: accept".
 */
enum tunnel_protocol {
	TUNNEL_PROTOCOL_CONNECT,
	TUNNEL_PROTOCOL_WORKERD,
};

/* The gateway's declaration. */
#define TUNNEL_PLAINTEXT_NAME  "X-Tls-Plaintext"
#define TUNNEL_PLAINTEXT_VALUE "accept"

/* Fits every request that tunnel_request_format() writes. */
#define TUNNEL_REQUEST_MAX 1024
/* The longest header value that is kept, with its NUL. */
#define TUNNEL_VALUE_MAX 320

/* Writes the request for one flow, NUL-terminated; @hints may be NULL. Returns its length. */
size_t tunnel_request_format(char text[TUNNEL_REQUEST_MAX], const struct sockaddr *source,
			     const struct sockaddr *destination, const struct hints *hints);

/* The fields of an answer that are looked for. */
enum tunnel_answer_field {
	TUNNEL_ANSWER_PLAINTEXT,
	TUNNEL_ANSWER_VIA,
	TUNNEL_ANSWER_PROXY_AGENT,
	TUNNEL_ANSWER_FIELDS,
};

/* An answer; @status is valid when complete. Interim answers (1xx except 101) are skipped. */
struct tunnel_answer {
	struct http_head head;
	struct http_value value[TUNNEL_ANSWER_FIELDS];
	char text[TUNNEL_ANSWER_FIELDS][32]; /* a longer value says nothing to us */
	size_t size;			     /* bytes of the interim answers */
	int status;
};

void tunnel_answer_init(struct tunnel_answer *answer);

/* Reads on. When complete, the rest of @data behind @ret_used bytes belongs to the tunnel. */
enum http_verdict tunnel_answer_feed(struct tunnel_answer *answer, const char *data, size_t size,
				     size_t *ret_used);

/* The bytes that may be sent into a tunnel. */
enum tunnel_content {
	TUNNEL_UNCHANGED, /* the application's bytes as they are */
	TUNNEL_PLAINTEXT, /* TLS may be terminated */
	/* 200 asks for plaintext in this protocol, but the answer is an ordinary proxy's. It would
	 * forward plaintext to the origin. */
	TUNNEL_DOUBTFUL,
};

/* Reads that from a complete answer. */
enum tunnel_content tunnel_answer_content(const struct tunnel_answer *answer,
					  enum tunnel_protocol protocol);

/* The values of a request that are kept. A longer one is refused. */
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
	struct http_head head;
	struct http_value value[TUNNEL_FIELDS];
	char text[TUNNEL_FIELDS][TUNNEL_VALUE_MAX];
};

void tunnel_request_init(struct tunnel_request *request);

/* As tunnel_answer_feed(). Refuses any method except CONNECT, and a missing or repeated Host. */
enum http_verdict tunnel_request_feed(struct tunnel_request *request, const char *data, size_t size,
				      size_t *ret_used);

/* The value of a field, "" when the request did not have it. */
const char *tunnel_request_value(const struct tunnel_request *request, enum tunnel_field field);

#endif
