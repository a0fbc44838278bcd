/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the client's first bytes and looks for hints in them: a ClientHello's server name, or an
 * HTTP request's host. The bytes are kept for the gateway.
 *
 * The wait for the first byte lasts peek_ms, so that protocols whose server speaks first get on. It
 * lasts client_first_ms where the client is known to speak first. A client that has begun gets
 * client_first_ms for the rest.
 */
#ifndef SIDESTEP_PEEK_H
#define SIDESTEP_PEEK_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/hints.h"
#include "proxy/worker.h"
#include "stream/loop.h"

/* Zero-initialised at first. */
struct peek {
	struct worker *worker;
	struct loop_handler *side;
	struct loop_timer timer; /* runs until the peek is over */
	bool client_first;	 /* the wait is the long one */
	char *bytes;		 /* those read so far */
	size_t size;
	bool ended;	    /* the client's EOF was read */
	struct hints hints; /* of these bytes */
	bool final;	    /* no further byte can change the hints */
	/* 0: the peek is over. Negative errno: the client's socket has failed, which may also come
	 * after the end. */
	void (*done)(struct peek *peek, int error);
};

/*
 * Starts to read from the client's @side, which is registered, and takes its events until somebody
 * else does. @tls and @http: the protocols to look for; without any it reads nothing, and only
 * watches for failures. @client_first: the client is expected to speak first. May call done before
 * it returns.
 */
void peek_start(struct peek *peek, struct worker *worker, struct loop_handler *side, bool tls,
		bool http, bool client_first);

/* After the end: reads the bytes that have arrived since then. Returns 0 or negative errno. */
int peek_more(struct peek *peek);

/* Stops and frees the bytes. The owner may have taken them and set the pointer to NULL. */
void peek_release(struct peek *peek);

#endif
