/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache of leaf certificates by name: a hash table, and a list in the order of use. When it is
 * full, the least recently used leaf goes. Not thread safe; the authority holds its lock around it.
 */
#ifndef SIDESTEP_TLS_CACHE_H
#define SIDESTEP_TLS_CACHE_H

#include <openssl/x509.h>
#include <stddef.h>
#include <time.h>

/* Most leaves that are kept. */
#define TLS_CACHE_MAX 512

struct tls_cache;

/* Returns NULL with errno set on failure. */
struct tls_cache *tls_cache_new(void);
/* Drops its references. NULL is allowed. */
void tls_cache_free(struct tls_cache *cache);

/* Returns a reference for the caller, or NULL when there is no leaf that is valid at @now. */
X509 *tls_cache_find(struct tls_cache *cache, const char *name, time_t now);

/* Keeps a reference of its own until @expires, and replaces an entry of the same name. Returns 0 or
 * -ENOMEM. */
int tls_cache_add(struct tls_cache *cache, const char *name, X509 *leaf, time_t expires);

size_t tls_cache_count(const struct tls_cache *cache);

#endif
