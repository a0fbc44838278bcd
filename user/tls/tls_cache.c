// SPDX-License-Identifier: Apache-2.0
#include "tls/tls_cache.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/list.h"
#include "lib/util.h"

#define TLS_CACHE_SLOTS (2 * TLS_CACHE_MAX)
_Static_assert((TLS_CACHE_SLOTS & (TLS_CACHE_SLOTS - 1)) == 0, "slots are picked by a mask");

struct entry {
	struct entry *chain; /* next in the slot */
	struct list_link use;
	X509 *leaf;
	time_t expires;
	char name[];
};

struct tls_cache {
	struct entry *slots[TLS_CACHE_SLOTS];
	struct list_link by_use; /* least recently used first */
	size_t count;
	uint64_t seed;
};

struct tls_cache *tls_cache_new(void)
{
	struct tls_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return NULL;
	list_init(&cache->by_use);
	/* The application chooses the names, but must not choose their slots. Without randomness it
	 * could make long chains, which TLS_CACHE_MAX bounds. */
	(void)!getrandom(&cache->seed, sizeof(cache->seed), GRND_NONBLOCK);
	return cache;
}

static struct entry **slot_of(struct tls_cache *cache, const char *name)
{
	/* FNV-1a */
	uint64_t hash = 0xcbf29ce484222325 ^ cache->seed;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3;
	return &cache->slots[(hash ^ hash >> 32) & (TLS_CACHE_SLOTS - 1)];
}

static void entry_drop(struct tls_cache *cache, struct entry *entry)
{
	struct entry **link = slot_of(cache, entry->name);

	while (*link != entry)
		link = &(*link)->chain;
	*link = entry->chain;
	list_remove(&entry->use);
	cache->count--;
	X509_free(entry->leaf);
	free(entry);
}

/* Drops the least recently used entry. Returns false when there is none. */
static bool oldest_drop(struct tls_cache *cache)
{
	struct list_link *link = list_first(&cache->by_use);

	if (!link)
		return false;
	entry_drop(cache, container_of(link, struct entry, use));
	return true;
}

void tls_cache_free(struct tls_cache *cache)
{
	if (!cache)
		return;
	while (oldest_drop(cache))
		;
	free(cache);
}

static struct entry *entry_find(struct tls_cache *cache, const char *name)
{
	struct entry *entry = *slot_of(cache, name);

	while (entry && strcmp(entry->name, name) != 0)
		entry = entry->chain;
	return entry;
}

X509 *tls_cache_find(struct tls_cache *cache, const char *name, time_t now)
{
	struct entry *entry = entry_find(cache, name);

	if (!entry || entry->expires <= now)
		return NULL;
	list_remove(&entry->use);
	list_append(&cache->by_use, &entry->use);
	(void)X509_up_ref(entry->leaf);
	return entry->leaf;
}

int tls_cache_add(struct tls_cache *cache, const char *name, X509 *leaf, time_t expires)
{
	size_t size = strlen(name) + 1;
	struct entry *entry = calloc(1, sizeof(*entry) + size), *same = entry_find(cache, name);
	struct entry **slot = slot_of(cache, name);

	if (!entry)
		return -ENOMEM;
	if (same)
		entry_drop(cache, same);
	else if (cache->count >= TLS_CACHE_MAX)
		(void)oldest_drop(cache);
	memcpy(entry->name, name, size);
	entry->expires = expires;
	entry->leaf = leaf;
	(void)X509_up_ref(leaf);
	entry->chain = *slot;
	*slot = entry;
	list_append(&cache->by_use, &entry->use);
	cache->count++;
	return 0;
}

size_t tls_cache_count(const struct tls_cache *cache)
{
	return cache->count;
}
