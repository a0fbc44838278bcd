/* SPDX-License-Identifier: Apache-2.0 */
/* Sends one HTTP POST after the other to a collector, each on a connection of its own. */
#ifndef SIDESTEP_OTLP_REQUEST_H
#define SIDESTEP_OTLP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "metrics/otlp_url.h"
#include "proto/http_head.h"
#include "stream/dial.h"

/* The limits for connecting and for an answer, ms. */
#define OTLP_DIAL_MS   5000
#define OTLP_ANSWER_MS 10000

/* Embedded by its owner. */
struct otlp_request {
	const struct otlp_url *url;
	struct dialer *dialer;
	const struct dial_announcer *announcer;
	/* Is called once for each request that otlp_request_send() has begun, with the status of
	 * the answer, or a negative errno. It may begin the next one. */
	void (*answered)(struct otlp_request *request, int status);
	struct loop_handler side;
	struct dial dial;
	struct loop_timer_class limit_class;
	struct loop_timer limit;
	struct loop_task over; /* tells the owner, outside of the handler's event */
	int status;
	bool busy, connected;
	char *text; /* head and body */
	size_t size, sent;
	struct http_head head;
};

/* The pointers stay the caller's. */
void otlp_request_init(struct otlp_request *request, const struct otlp_url *url,
		       struct dialer *dialer, const struct dial_announcer *announcer,
		       void (*answered)(struct otlp_request *request, int status));

/* Sends @body, which is taken and freed, to the URL with @path behind it. Returns false if there is
 * no memory. */
bool otlp_request_send(struct otlp_request *request, const char *path, char *body, size_t size);

static inline bool otlp_request_busy(const struct otlp_request *request)
{
	return request->busy;
}

/* Ends a request without an answer. */
void otlp_request_cancel(struct otlp_request *request);

#endif
