/* SPDX-License-Identifier: Apache-2.0 */
/* Sends one HTTP POST after the other to a collector, each on a connection of its own, which may be
 * TLS. */
#ifndef SIDESTEP_OTLP_REQUEST_H
#define SIDESTEP_OTLP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "metrics/otlp_headers.h"
#include "metrics/otlp_url.h"
#include "proto/http_head.h"
#include "stream/dial.h"
#include "tls/tls_stream.h"

/* The limits for connecting and for an answer, ms. */
#define OTLP_DIAL_MS   5000
#define OTLP_ANSWER_MS 10000

/* The pointers stay the caller's. */
struct otlp_request_config {
	const struct otlp_url *url;
	const struct otlp_headers *headers;
	SSL_CTX *tls; /* NULL: without TLS */
	struct dialer *dialer;
	const struct dial_announcer *announcer;
};

struct otlp_answer {
	int status;	   /* of HTTP, or a negative errno */
	const char *cause; /* why there is no answer; NULL: the errno says it */
	const char *later; /* the header Retry-After; "": there is none */
};

/* Embedded by its owner. */
struct otlp_request {
	struct otlp_request_config config;
	/* Is called once for each request that otlp_request_send() has begun. It may begin the next
	 * one. */
	void (*answered)(struct otlp_request *request, const struct otlp_answer *answer);
	struct socket_address address;
	struct loop_handler side;
	struct dial dial;
	struct loop_timer_class limit_class;
	struct loop_timer limit;
	struct loop_task over; /* tells the owner, outside of the handler's event */
	struct otlp_answer answer;
	bool busy, handshaken;
	char *text; /* head and body */
	size_t size, sent;
	struct tls_stream stream;
	struct tls_scratch *scratch; /* with TLS */
	struct http_head head;
	struct http_value values[1];
	char later[64];
};

/* Returns 0 or -ENOMEM. */
int otlp_request_init(struct otlp_request *request, const struct otlp_request_config *config,
		      void (*answered)(struct otlp_request *request,
				       const struct otlp_answer *answer));

/* Sends @body to @address, for the URL with @path behind it. Returns false if there is no memory.
 */
bool otlp_request_send(struct otlp_request *request, const struct socket_address *address,
		       const char *path, const char *body, size_t size);

static inline bool otlp_request_busy(const struct otlp_request *request)
{
	return request->busy;
}

/* Ends a request without an answer, and frees the contents. */
void otlp_request_release(struct otlp_request *request);

#endif
