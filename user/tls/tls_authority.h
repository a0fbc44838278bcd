/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ephemeral certificate authority that TLS interception presents to the application, and the
 * leaf certificates that it signs: one for each name (DNS) or literal address (IP), cached.
 */
#ifndef SIDESTEP_TLS_AUTHORITY_H
#define SIDESTEP_TLS_AUTHORITY_H

#include <openssl/ssl.h>
#include <stddef.h>

struct tls_authority;

/* Makes an ECDSA P-256 key and a self-signed CA certificate. With @directory (or NULL) writes
 * ca.crt (0644) and ca.key (0600) there, making the directory where it is missing. Returns 0 or
 * negative errno, logged. */
int tls_authority_new(const char *directory, struct tls_authority **ret_authority);
void tls_authority_free(struct tls_authority *authority);

/* The CA certificate in PEM, NUL-terminated; the authority's. */
const char *tls_authority_pem(const struct tls_authority *authority, size_t *ret_size);

/*
 * The server's end of a TLS connection, without BIOs, with a leaf for @name: a host name (SAN DNS)
 * or a literal IP address (SAN IP). Should the ClientHello name another host than @name, the leaf
 * is that one's. P-256, valid from one hour ago to 24 hours ahead; at most 512 leaves are cached,
 * the least recently used goes. Thread safe. The caller's (SSL_free()). NULL: logged.
 */
SSL *tls_authority_accept(struct tls_authority *authority, const char *name);

#endif
