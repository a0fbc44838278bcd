/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate authority of TLS interception, which the application has to trust. It
 * signs and caches one leaf for each host name (DNS) or literal address (IP).
 */
#ifndef SIDESTEP_TLS_AUTHORITY_H
#define SIDESTEP_TLS_AUTHORITY_H

#include <openssl/ssl.h>
#include <stddef.h>

#include "tls/tls_tap.h"

struct tls_authority;

/* Takes the user's authority in @directory (tls_authority_load()). Without one it makes an ECDSA
 * P-256 key and a self-signed CA certificate. It then writes ca.crt (0644) and ca.key (0600) to
 * @directory, and makes that if it is missing. NULL: no files. Returns 0 or negative errno, logged.
 */
int tls_authority_new(const char *directory, struct tls_authority **ret_authority);
void tls_authority_free(struct tls_authority *authority);

/* Returns the CA certificate in PEM, NUL-terminated. The text is the authority's. */
const char *tls_authority_pem(const struct tls_authority *authority, size_t *ret_size);

/*
 * Makes the server's end of a TLS connection, without BIOs. Its leaf is for @name: a host name (SAN
 * DNS) or a literal IP address (SAN IP). If the ClientHello names another host, the leaf is for
 * that one.
 *
 * A leaf has a P-256 key and is valid from one hour ago to 24 hours ahead. At most 512 are cached.
 * @tap, which outlives the result, gets the connection's secrets; NULL: nobody does. Thread safe.
 * The caller frees the result (SSL_free()). NULL: logged.
 */
SSL *tls_authority_accept(struct tls_authority *authority, const char *name,
			  const struct tls_tap *tap);

#endif
