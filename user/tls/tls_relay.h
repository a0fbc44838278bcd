/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay of a connection whose TLS ends here: ciphertext with the application, plaintext with
 * the gateway. It works between the sides of a struct relay, in place of that relay's own pump, and
 * keeps to its limits: what one side does not take is kept, bounded, and the other is not read
 * meanwhile.
 *
 * The ends pass as they are meant (RFC 8446 section 6.1):
 *	application's close_notify	FIN to the gateway; bytes still flow back
 *	gateway's FIN			close_notify, then FIN to the application, which may go on
 *	application's FIN without it	a truncation: what came before, then RST to the gateway
 *	RST of either			RST to the other
 *	failed handshake		the alert, then FIN to the application; RST to the gateway
 */
#ifndef SIDESTEP_TLS_RELAY_H
#define SIDESTEP_TLS_RELAY_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "stream/loop.h"
#include "stream/relay.h"
#include "tls/tls_stream.h"

/* Limit for a handshake, in ms: what servers commonly grant. */
#define TLS_HANDSHAKE_MS 10000

/* What the TLS relays of one thread share. */
struct tls_relay_pool {
	struct relay_pool *relays;
	struct loop_timer_class handshake_class;
	struct tls_scratch scratch;
};

/* NULL with errno set. @handshake_ms: TLS_HANDSHAKE_MS, but in tests. */
struct tls_relay_pool *tls_relay_pool_new(struct relay_pool *relays, unsigned int handshake_ms);
/* NULL is allowed. TLS relays must have been freed, and the loop does not run any more. */
void tls_relay_pool_free(struct tls_relay_pool *pool);

/* Why a handshake failed. */
struct tls_failure {
	int error; /* negative errno: -ETIMEDOUT, or as tls_stream_read() */
	/* With -EPROTO OpenSSL's packed code; the client's alerts are above SSL_AD_REASON_OFFSET */
	unsigned long code;
};

struct tls_relay {
	struct relay *relay;
	struct tls_relay_pool *pool;
	struct tls_stream stream; /* on relay->side[0] */
	struct loop_task again;
	struct loop_timer handshake_timer;
	bool established;
	bool truncated; /* the application's EOF came without close_notify */
	/* The handshake is over: @failure is NULL, or why it failed. What ends the relay then is
	 * still told by relay->finish. May be NULL. */
	void (*handshaken)(struct relay *relay, const struct tls_failure *failure);
};

/*
 * Takes @ssl over, also when it fails. @relay has both sides registered and is not started; @first
 * (from malloc(), or NULL) is what its application sent so far and becomes the TLS relay's, bytes
 * that are queued for direction 1 go to the application first, an EOF that was seen is read again.
 * NULL: out of memory.
 */
struct tls_relay *tls_relay_new(struct relay *relay, struct tls_relay_pool *pool, SSL *ssl,
				char *first, size_t first_size);

/* Starts. May call relay->finish, as the next function may, before it returns; that frees it. */
void tls_relay_start(struct tls_relay *tls);

/* An event of relay->side[@side], which its owner has had latched. */
void tls_relay_event(struct tls_relay *tls, int side, uint32_t events);

/* Before relay_close(), from relay->finish or any time else. NULL is allowed. */
void tls_relay_free(struct tls_relay *tls);

/* Heap bytes of ours that it holds now beyond its own struct, without OpenSSL's. */
size_t tls_relay_memory(const struct tls_relay *tls);

#endif
