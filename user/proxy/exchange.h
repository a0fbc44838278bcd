/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exchange with the gateway that opens a tunnel: sends the CONNECT request and reads its answer
 * (RFC 9110 section 9.3.6). Logs why there is no tunnel.
 */
#ifndef SIDESTEP_EXCHANGE_H
#define SIDESTEP_EXCHANGE_H

#include <stddef.h>

#include "lib/socket_address.h"
#include "proto/hints.h"
#include "proto/tunnel.h"
#include "proxy/worker.h"
#include "stream/flow.h"
#include "stream/loop.h"

enum exchange_result {
	EXCHANGE_ACCEPTED, /* 2xx */
	EXCHANGE_FAILED,   /* logged and counted */
	EXCHANGE_UNSENT,   /* sending the request failed, see error; nothing is logged */
};

/* Zero-initialise the part before answer. */
struct exchange {
	struct worker *worker;
	struct loop_handler *side;
	const struct socket_address *gateway;
	const struct flow *flow;
	struct loop_timer timer;
	size_t size, sent; /* of the request; size 0: not started */
	int error;	   /* EXCHANGE_UNSENT: negative errno */
	const char *rest;  /* bytes behind the answer, in the thread's buffer; valid during done */
	size_t rest_size;
	void (*done)(struct exchange *exchange, enum exchange_result result);

	struct tunnel_answer answer;
	char request[TUNNEL_REQUEST_MAX];
};

/*
 * Sends the request over @side, which is connected to @gateway, and takes its events. @gateway and
 * @flow must stay valid until the end. May call done before it returns.
 */
void exchange_start(struct exchange *exchange, struct worker *worker, struct loop_handler *side,
		    const struct socket_address *gateway, const struct flow *flow,
		    const struct hints *hints);

/* Stops without a call of done. The exchange may be started again. */
void exchange_cancel(struct exchange *exchange);

#endif
