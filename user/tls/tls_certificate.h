/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates of TLS interception, made with OpenSSL: one authority and the leaves that it
 * signs (RFC 5280; RFC 6125 for names). Pure functions: no files, no clock, no state.
 */
#ifndef SIDESTEP_TLS_CERTIFICATE_H
#define SIDESTEP_TLS_CERTIFICATE_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "lib/util.h"

/* The longest name, with its NUL: a host name of 255 characters or a literal address. */
#define TLS_NAME_MAX 256
/* Leaves are valid from TLS_BACKDATE_S before they are made, for clocks that are behind, to
 * TLS_LEAF_S after; the authority from the same for TLS_CA_S. Seconds. */
#define TLS_BACKDATE_S 3600
#define TLS_LEAF_S     (24 * 3600)
#define TLS_CA_S       (10 * 365 * 24 * 3600L)

struct tls_name {
	char text[TLS_NAME_MAX];
	bool is_address;
};

/* Lower case and without a dot at the end; an address in its one text form. Returns 0, or -EINVAL
 * for what is neither a host name (hostname_valid()) nor an IP address. */
int tls_name_parse(const char *text, struct tls_name *ret_name);

/* A self-signed authority for @key, which may only sign leaves; subject key id in it. NULL:
 * OpenSSL's error queue has the reason. */
X509 *tls_certificate_authority(EVP_PKEY *key, time_t now);

/* A server's certificate for @name and @key, signed by @authority with @authority_key. Reads both
 * only, several threads may do so. NULL as above. */
X509 *tls_certificate_leaf(X509 *authority, EVP_PKEY *authority_key, EVP_PKEY *key,
			   const struct tls_name *name, time_t now);

/* Empties OpenSSL's error queue of this thread and returns what stood in it last, for messages. */
const char *tls_error_text(void);

static inline void cleanup_x509(X509 **certificate)
{
	X509_free(*certificate);
}

static inline void cleanup_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

#define _cleanup_x509_ _cleanup_(cleanup_x509)
#define _cleanup_key_  _cleanup_(cleanup_key)

#endif
