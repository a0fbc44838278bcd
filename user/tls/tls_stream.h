/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS on one nonblocking socket of a loop: OpenSSL over a BIO of our own, which first gives back
 * the bytes that were read before TLS began and never blocks OpenSSL's writes. What it writes is
 * gathered in the thread's scratch, leaves by one send(2), and what the socket does not take is
 * kept, bounded. So a write always succeeds as a whole, and never waits for a read.
 *
 * The scratch is one stream's from its first call to tls_stream_flush(), with which its owner ends
 * every round.
 */
#ifndef SIDESTEP_TLS_STREAM_H
#define SIDESTEP_TLS_STREAM_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream/loop.h"

/* The most that one tls_stream_write() takes; bytes. */
#define TLS_STREAM_WRITE 65536
/* That in records (RFC 8446 section 5.2), with a handshake's flight in front of it. */
#define TLS_STREAM_SCRATCH (TLS_STREAM_WRITE + 8192)
/* What is kept for a peer that does not read, at most. Above it the stream fails: only a peer that
 * makes us answer without reading (KeyUpdate) gets there. */
#define TLS_STREAM_KEPT (2 * TLS_STREAM_SCRATCH)

struct tls_scratch {
	size_t size;
	char data[TLS_STREAM_SCRATCH];
};

struct tls_stream {
	SSL *ssl;
	struct loop_handler *socket;
	struct tls_scratch *scratch;
	char *first; /* read before TLS began, [first_begin, first_end); NULL: none is left */
	char *kept;  /* ciphertext for the socket, [kept_begin, kept_end); NULL: none */
	uint32_t first_begin, first_end;
	uint32_t kept_begin, kept_end;
	int error;  /* the socket's, negative errno; 0: none */
	bool ended; /* the socket said EOF */
};

/* Takes @ssl and @first (from malloc(), or NULL) over, also when it fails. @socket is registered
 * with RELAY_EVENTS and stays the caller's. Returns 0 or -ENOMEM. */
int tls_stream_init(struct tls_stream *stream, SSL *ssl, struct loop_handler *socket,
		    struct tls_scratch *scratch, char *first, size_t first_size);

/* Frees what it holds. A zero-initialised or released stream is allowed. */
void tls_stream_release(struct tls_stream *stream);

/* Goes on with the handshake. 1: done; 0: more must arrive; negative: it failed, as below. */
int tls_stream_accept(struct tls_stream *stream);

/*
 * Reads plaintext, as much as fits and is there. Returns its size, or:
 *	0		the peer's close_notify: a clean end
 *	-EAGAIN		nothing now
 *	-ENODATA	the socket's EOF without close_notify: a truncation (RFC 8446 section 6.1)
 *	-EPROTO		not TLS, or an alert; tls_stream_reason() tells
 *	another errno	the socket's
 */
ssize_t tls_stream_read(struct tls_stream *stream, char *buffer, size_t size);

/* Encrypts all of it, at most TLS_STREAM_WRITE. 0, or negative as above. Only when the flush before
 * it left nothing. */
int tls_stream_write(struct tls_stream *stream, const char *data, size_t size);

/* Sends close_notify, once; the peer may go on sending. 0, or negative as above. */
int tls_stream_shutdown(struct tls_stream *stream);

/* Sends what was gathered. 1: nothing is left; 0: the socket takes no more now; negative errno:
 * the socket failed, or -ENOBUFS. */
int tls_stream_flush(struct tls_stream *stream);

/* After -EPROTO: the last error of this thread's OpenSSL queue as a packed code (ERR_get_error(3)),
 * 0 when there was none. */
unsigned long tls_stream_reason(void);

/* Heap bytes of ours that it holds now, without OpenSSL's. */
size_t tls_stream_memory(const struct tls_stream *stream);

#endif
