/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS on one nonblocking socket of a loop: OpenSSL over a BIO of our own.
 *
 * The BIO first returns the bytes that were read before TLS began. It gathers OpenSSL's writes in
 * the thread's scratch, and one send(2) takes them to the socket. Bytes that the socket does not
 * take are kept, up to a limit. So a write always succeeds as a whole, and never waits for a read.
 *
 * A stream uses the scratch from its first call of a round until tls_stream_flush(), with which the
 * owner ends every round.
 */
#ifndef SIDESTEP_TLS_STREAM_H
#define SIDESTEP_TLS_STREAM_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream/loop.h"

/* The most bytes of one tls_stream_write(). */
#define TLS_STREAM_WRITE 65536
/* These bytes in records (RFC 8446 section 5.2), behind the flight of a handshake. */
#define TLS_STREAM_SCRATCH (TLS_STREAM_WRITE + 8192)
/* The most bytes that are kept for a peer that does not read. Beyond it the stream fails. Only a
 * peer that demands answers without reading them (KeyUpdate) gets there. */
#define TLS_STREAM_KEPT (2 * TLS_STREAM_SCRATCH)

struct tls_scratch {
	size_t size;
	char data[TLS_STREAM_SCRATCH];
};

struct tls_stream {
	SSL *ssl;
	struct loop_handler *socket;
	struct tls_scratch *scratch;
	char *first; /* bytes read before TLS began: [first_begin, first_end); NULL: none left */
	char *kept;  /* ciphertext for the socket: [kept_begin, kept_end); NULL: none */
	uint32_t first_begin, first_end;
	uint32_t kept_begin, kept_end;
	int error;  /* of the socket, negative errno; 0: none */
	bool ended; /* the socket reported EOF */
};

/* Takes over @ssl and @first (from malloc(), or NULL), also on failure. @socket is registered with
 * RELAY_EVENTS and stays the caller's. Returns 0 or -ENOMEM. */
int tls_stream_init(struct tls_stream *stream, SSL *ssl, struct loop_handler *socket,
		    struct tls_scratch *scratch, char *first, size_t first_size);

/* Frees the contents. A zero-initialised or released stream is allowed. */
void tls_stream_release(struct tls_stream *stream);

/* Continues the handshake. Returns 1 when it is done, 0 when more bytes must arrive, or the errors
 * of tls_stream_read(). */
int tls_stream_accept(struct tls_stream *stream);

/*
 * Reads as much plaintext as is there and fits. Returns its size, or:
 *	0		close_notify of the peer: a clean end
 *	-EAGAIN		nothing now
 *	-ENODATA	EOF of the socket without close_notify: a truncation (RFC 8446 section 6.1)
 *	-EPROTO		not TLS, or an alert; see tls_stream_reason()
 *	another errno	an error of the socket
 */
ssize_t tls_stream_read(struct tls_stream *stream, char *buffer, size_t size);

/* Encrypts all of @data, at most TLS_STREAM_WRITE bytes. The flush before it must have left
 * nothing. Returns 0, or negative as above. */
int tls_stream_write(struct tls_stream *stream, const char *data, size_t size);

/* Sends close_notify, once. The peer may continue to send. Returns 0, or negative as above. */
int tls_stream_shutdown(struct tls_stream *stream);

/* Sends the gathered bytes. Returns 1 when nothing is left, 0 when the socket takes no more now, or
 * negative errno: of the socket, or -ENOBUFS. */
int tls_stream_flush(struct tls_stream *stream);

/* Returns the last error of this thread's OpenSSL queue as a packed code (ERR_get_error(3)), or 0.
 * To be called after -EPROTO. */
unsigned long tls_stream_reason(void);

/* Returns the heap bytes that the stream holds now, without those of OpenSSL. */
size_t tls_stream_memory(const struct tls_stream *stream);

#endif
