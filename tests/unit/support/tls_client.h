/* SPDX-License-Identifier: Apache-2.0 */
/* A TLS client on a blocking socket. An unexpected result fails the test. */
#ifndef SIDESTEP_TESTS_TLS_CLIENT_H
#define SIDESTEP_TESTS_TLS_CLIENT_H

#include <openssl/ssl.h>

#include "tls/tls_authority.h"

/* The client trusts @authority (NULL: nobody) and speaks only @version (0: any). */
SSL_CTX *tls_client_context(const struct tls_authority *authority, int version);

/* Makes a client that is not connected yet. @host is sent as SNI and verified, @address is
 * verified. Either may be NULL. */
SSL *tls_client_new(SSL_CTX *context, int fd, const char *host, const char *address);

void tls_expect_connect(SSL *ssl);
void tls_say(SSL *ssl, const char *text);

/* The next bytes are @text, of at most 255 characters. */
void tls_expect_bytes(SSL *ssl, const char *text);

/* The peer sends close_notify. */
void tls_expect_end(SSL *ssl);

/* The handshake fails. Returns OpenSSL's reason. */
int tls_expect_refusal(SSL *ssl);

#endif
