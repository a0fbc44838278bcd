/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a certificate authority that the user has put into --ca-dir. */
#ifndef SIDESTEP_TLS_AUTHORITY_LOAD_H
#define SIDESTEP_TLS_AUTHORITY_LOAD_H

#include <openssl/evp.h>
#include <openssl/x509.h>

/*
 * Reads ca.crt and ca.key in @path, and tries a leaf with them. An authority that an earlier
 * process made there (tls_certificate_is_own()) does not count. Returns 1 with both, which the
 * caller owns, or 0 where neither file is there. A negative errno, logged, stands for files that
 * cannot be used, and have to stay as they are.
 */
int tls_authority_load(const char *path, X509 **ret_certificate, EVP_PKEY **ret_key);

#endif
