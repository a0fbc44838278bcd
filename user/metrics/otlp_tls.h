/* SPDX-License-Identifier: Apache-2.0 */
/* TLS with an OTLP collector, which must prove its name or its address. */
#ifndef SIDESTEP_OTLP_TLS_H
#define SIDESTEP_OTLP_TLS_H

#include <openssl/ssl.h>

#include "metrics/otlp_url.h"

/* Reads the CAs of @file in PEM, or the system's if it is NULL, because no file can be opened
 * later. The caller frees the context. Returns 0 or negative errno, logged. */
int otlp_tls_new(const char *file, SSL_CTX **ret_context);

/* Returns a client's side for the collector, or NULL. */
SSL *otlp_tls_connect(SSL_CTX *context, const struct otlp_url *url);

/* Tells why the handshake failed. */
const char *otlp_tls_cause(const SSL *ssl);

#endif
