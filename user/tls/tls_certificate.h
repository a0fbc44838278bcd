/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates of TLS interception, made with OpenSSL: one authority and the leaves that it
 * signs (RFC 5280; RFC 6125 for names). Pure functions without files, clock or state.
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
/* Validity in seconds. It begins TLS_BACKDATE_S before the certificate is made, for clocks that are
 * slow, and ends TLS_LEAF_S or TLS_CA_S after. */
#define TLS_BACKDATE_S 3600
#define TLS_LEAF_S     (24 * 3600)
#define TLS_CA_S       (10 * 365 * 24 * 3600L)

struct tls_name {
	char text[TLS_NAME_MAX];
	bool is_address;
};

/* Makes a name lower case without a dot at the end, and an address canonical. Returns 0, or -EINVAL
 * for a text that is neither a host name (hostname_valid()) nor an IP address. */
int tls_name_parse(const char *text, struct tls_name *ret_name);

/* Makes a self-signed authority for @key, with a subject key id. It may only sign leaves. Returns
 * NULL on failure, and OpenSSL's error queue has the reason. */
X509 *tls_certificate_authority(EVP_PKEY *key, time_t now);

/* Tells by its name whether tls_certificate_authority() made this certificate, in any process. */
bool tls_certificate_is_own(const X509 *certificate);

/* Makes a server's certificate for @name and @key, signed by @authority with @authority_key. Only
 * reads both, so several threads may do it. NULL as above. */
X509 *tls_certificate_leaf(X509 *authority, EVP_PKEY *authority_key, EVP_PKEY *key,
			   const struct tls_name *name, time_t now);

/* Empties this thread's OpenSSL error queue and returns its last text, for messages. */
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
