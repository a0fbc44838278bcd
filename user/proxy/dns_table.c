// SPDX-License-Identifier: Apache-2.0
#include "proxy/dns_table.h"

#include <stdlib.h>

#include "lib/util.h"

struct dns_table {
	struct dns_query *queries;
	struct dns_query **buckets; /* a power of two, at least max */
	unsigned int mask;
	unsigned int max, used, count; /* places, ever used, in use */
	struct dns_query *unused;
	struct list_link by_age;
};

struct dns_table *dns_table_new(unsigned int max)
{
	struct dns_table *table = calloc(1, sizeof(*table));
	unsigned int buckets = 1;

	if (!table)
		return NULL;
	while (buckets < max)
		buckets *= 2;
	table->mask = buckets - 1;
	table->max = max;
	list_init(&table->by_age);
	table->queries = calloc(max, sizeof(*table->queries));
	table->buckets = calloc(buckets, sizeof(struct dns_query *));
	if (!table->queries || !table->buckets) {
		dns_table_free(table);
		return NULL;
	}
	return table;
}

void dns_table_free(struct dns_table *table)
{
	if (!table)
		return;
	free(table->queries);
	free(table->buckets);
	free(table);
}

/* We draw the IDs at random, so nobody can make them meet in one bucket. */
static struct dns_query **bucket_of(const struct dns_table *table, uint8_t socket, uint16_t id)
{
	return &table->buckets[(id ^ (unsigned int)socket << 8) & table->mask];
}

struct dns_query *dns_table_find(const struct dns_table *table, uint8_t socket, uint16_t id)
{
	struct dns_query *query = *bucket_of(table, socket, id);

	while (query && (query->id != id || query->socket != socket))
		query = query->chain;
	return query;
}

struct dns_query *dns_table_add(struct dns_table *table, uint8_t socket, uint16_t id)
{
	struct dns_query **bucket = bucket_of(table, socket, id);
	struct dns_query *query = table->unused;

	if (dns_table_full(table) || dns_table_find(table, socket, id))
		return NULL;
	if (query)
		table->unused = query->chain;
	else
		query = &table->queries[table->used++];
	table->count++;
	query->socket = socket;
	query->id = id;
	query->chain = *bucket;
	*bucket = query;
	list_append(&table->by_age, &query->age);
	return query;
}

void dns_table_remove(struct dns_table *table, struct dns_query *query)
{
	struct dns_query **link = bucket_of(table, query->socket, query->id);

	while (*link != query)
		link = &(*link)->chain;
	*link = query->chain;
	list_remove(&query->age);
	query->chain = table->unused;
	table->unused = query;
	table->count--;
}

struct dns_query *dns_table_oldest(const struct dns_table *table)
{
	struct list_link *oldest = list_first(&table->by_age);

	return oldest ? container_of(oldest, struct dns_query, age) : NULL;
}

bool dns_table_full(const struct dns_table *table)
{
	return table->count >= table->max;
}
