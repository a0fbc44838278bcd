/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay of a flow whose TLS ends here: ciphertext with the application, plaintext with the
 * gateway.
 *
 * It moves bytes between the sides of a struct relay, in place of that relay's own pump, and keeps
 * its limits. Bytes that one side does not take are kept, bounded, and the other side is not read
 * meanwhile.
 *
 * It passes each end on by its meaning (RFC 8446 section 6.1):
 *
 *	application's close_notify	FIN to the gateway; bytes still flow back
 *	gateway's FIN			close_notify, then FIN to the application
 *	application's FIN alone		a truncation: all bytes before it, then RST to the gateway
 *	RST of either			RST to the other
 *	failed handshake		the alert and FIN to the application, RST to the gateway
 *
 * After the gateway's FIN the application may continue to send.
 */
#ifndef SIDESTEP_TLS_RELAY_H
#define SIDESTEP_TLS_RELAY_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "stream/loop.h"
#include "stream/relay.h"
#include "tls/tls_stream.h"
#include "tls/tls_tap.h"

/* Time limit for a handshake, in ms, as servers commonly have it. */
#define TLS_HANDSHAKE_MS 10000

/* Shared by the TLS relays of one thread. */
struct tls_relay_pool {
	struct relay_pool *relays;
	struct loop_timer_class handshake_class;
	struct tls_scratch scratch;
};

/* @handshake_ms is TLS_HANDSHAKE_MS, except in tests. Returns NULL with errno set on failure. */
struct tls_relay_pool *tls_relay_pool_new(struct relay_pool *relays, unsigned int handshake_ms);
/* The TLS relays have been freed and the loop has stopped. NULL is allowed. */
void tls_relay_pool_free(struct tls_relay_pool *pool);

/* The reason of a failed handshake. */
struct tls_failure {
	int error; /* negative errno: -ETIMEDOUT, or as tls_stream_read() */
	/* With -EPROTO: OpenSSL's packed code. Alerts of the client are above SSL_AD_REASON_OFFSET.
	 */
	unsigned long code;
};

struct tls_relay {
	struct relay *relay;
	struct tls_relay_pool *pool;
	struct tls_stream stream; /* on relay->side[0] */
	struct loop_task again;
	struct loop_timer handshake_timer;
	bool established;
	bool truncated; /* the application's FIN came without close_notify */
	/* The handshake is over; @failure is NULL if it succeeded. A failure ends the relay, which
	 * relay->finish reports as well. May be NULL. */
	void (*handshaken)(struct relay *relay, const struct tls_failure *failure);
	const struct tls_tap *tap; /* the owner's, who sets it before the start; NULL: none */
	uint64_t tap_id;	   /* from tap->open() */
};

/*
 * Takes over @ssl, also on failure. Both sides of @relay are registered, and it is not started.
 *
 * @first (from malloc(), or NULL) holds the bytes that the application has sent so far. It becomes
 * the TLS relay's. Bytes that are queued for direction 1 go to the application first. A FIN that
 * was already seen is read again. Returns NULL when out of memory.
 */
struct tls_relay *tls_relay_new(struct relay *relay, struct tls_relay_pool *pool, SSL *ssl,
				char *first, size_t first_size);

/* Starts. May call relay->finish before it returns, and so free @tls. */
void tls_relay_start(struct tls_relay *tls);

/* Takes an event of relay->side[@side] that its owner has latched. May call relay->finish, too. */
void tls_relay_event(struct tls_relay *tls, int side, uint32_t events);

/* To be called before relay_close(), in relay->finish or at any other time. NULL is allowed. */
void tls_relay_free(struct tls_relay *tls);

/* Returns the heap bytes that it holds now beyond its own struct, without those of OpenSSL. */
size_t tls_relay_memory(const struct tls_relay *tls);

#endif
