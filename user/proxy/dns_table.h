/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds the queries in flight of one relay. A query is found by the socket that it left from and by
 * its ID on the wire. Every operation takes constant time, and touches memory only as queries need
 * it.
 */
#ifndef SIDESTEP_DNS_TABLE_H
#define SIDESTEP_DNS_TABLE_H

#include <stdint.h>

#include "lib/list.h"
#include "proto/dns_message.h"
#include "proxy/dns_socket.h"
#include "stream/loop.h"

struct dns_relay;

struct dns_query {
	union dns_address client, resolver;
	struct dns_question question; /* with the client's ID */
	uint16_t id;		      /* on the wire */
	uint8_t socket;		      /* its index */
	struct dns_query *chain;      /* next in the hash bucket, or the next free one */
	struct list_link age;	      /* oldest first */
	struct dns_relay *relay;      /* this and the timer are the owner's */
	struct loop_timer timer;
};

struct dns_table;

/* Makes room for @max queries. NULL: out of memory. */
struct dns_table *dns_table_new(unsigned int max);

/* NULL is allowed. */
void dns_table_free(struct dns_table *table);

/* Adds the newest query, with @socket and @id set. The timer is zero or stopped; all other fields
 * are left over from an older query. NULL: no room, or the two are taken. */
struct dns_query *dns_table_add(struct dns_table *table, uint8_t socket, uint16_t id);

/* NULL: there is none. */
struct dns_query *dns_table_find(const struct dns_table *table, uint8_t socket, uint16_t id);
struct dns_query *dns_table_oldest(const struct dns_table *table);

bool dns_table_full(const struct dns_table *table);

/* @query stays readable until the next dns_table_add(). */
void dns_table_remove(struct dns_table *table, struct dns_query *query);

#endif
