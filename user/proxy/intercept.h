/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminates the TLS of one connection: decides whether to, picks the certificate, and explains a
 * failed handshake. The TLS relay moves the bytes (tls_relay.h).
 *
 * The gateway asks for it by its answer, and the client by a ClientHello. A client that was
 * slow to begin may have begun meanwhile. If neither side has said anything yet, the first byte
 * decides, whichever side it comes from.
 */
#ifndef SIDESTEP_INTERCEPT_H
#define SIDESTEP_INTERCEPT_H

#include "proto/hints.h"
#include "proto/tunnel.h"
#include "proxy/peek.h"
#include "proxy/worker.h"
#include "stream/flow.h"
#include "stream/relay.h"
#include "tls/tls_relay.h"

struct intercept {
	struct worker *worker;
	struct relay *relay;
	const struct flow *flow;
	struct tls_relay *tls; /* NULL while it is not decided yet */
	char *first;	       /* the client's first bytes, from malloc() */
	size_t first_size;
	char name[HINTS_NAME_MAX]; /* for the certificate */
	/* Called at most once. 0: neither side begins with TLS, the relay is to be started with the
	 * bytes as they are. Negative errno: it failed. Otherwise relay->finish tells the end. */
	void (*done)(struct intercept *intercept, int error);
};

/* Tells whether the gateway takes plaintext by its complete answer. Logs once that one does not. */
bool intercept_asked(struct worker *worker, const struct socket_address *gateway,
		     const struct tunnel_answer *answer);

/*
 * Decides once the gateway has asked for plaintext. @relay has both sides registered and is not
 * started. Takes the bytes of @peek if TLS ends here. *@ret_intercept is NULL if it does not.
 * Returns 0 or negative errno: the client's socket has failed, or there is no memory.
 */
int intercept_new(struct worker *worker, struct relay *relay, const struct flow *flow,
		  struct peek *peek, void (*done)(struct intercept *intercept, int error),
		  struct intercept **ret_intercept);

/* Starts. May call done or relay->finish before it returns. */
void intercept_start(struct intercept *intercept);

/* Before relay_close(), from done, relay->finish or at any other time. NULL is allowed. */
void intercept_free(struct intercept *intercept);

#endif
