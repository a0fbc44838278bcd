/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaf certificates by name, the least recently used goes when it is full: a hash table whose
 * entries are in a list by age. Not thread safe; the authority holds its lock around it.
 */
#ifndef SIDESTEP_TLS_CACHE_H
#define SIDESTEP_TLS_CACHE_H

#include <openssl/x509.h>
#include <stddef.h>
#include <time.h>

/* How many leaves are kept. */
#define TLS_CACHE_MAX 512

struct tls_cache;

/* NULL with errno set. */
struct tls_cache *tls_cache_new(void);
/* Gives its references back. NULL is allowed. */
void tls_cache_free(struct tls_cache *cache);

/* A reference for the caller, NULL: there is none, or none that is still good at @now. */
X509 *tls_cache_find(struct tls_cache *cache, const char *name, time_t now);

/* Keeps a reference of its own until @expires; an entry of that name is replaced, the least
 * recently used makes room. Returns 0 or -ENOMEM. */
int tls_cache_add(struct tls_cache *cache, const char *name, X509 *leaf, time_t expires);

size_t tls_cache_count(const struct tls_cache *cache);

#endif
