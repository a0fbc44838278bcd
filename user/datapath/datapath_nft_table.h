/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects of an nftables table as messages of a batch: the table, counters, sets with their
 * elements, and chains. All carry the comments and types that nft(8) needs to list them well.
 */
#ifndef SIDESTEP_DATAPATH_NFT_TABLE_H
#define SIDESTEP_DATAPATH_NFT_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "datapath/datapath_nft_batch.h"

/* Types of set keys as nft(8) numbers them (src/datatype.h there). A concatenation has six bits for
 * each, the first one in the highest. */
enum nft_key_type {
	NFT_KEY_IPV4 = 7,
	NFT_KEY_IPV6 = 8,
	NFT_KEY_PROTOCOL = 12, /* inet_proto */
	NFT_KEY_PORT = 13,     /* inet_service */
	NFT_KEY_DEVICE = 20,   /* iface_index */
};
#define NFT_KEY_CONCAT(type, next) ((type) << 6 | (next))

/* Byte order of a set's keys, as nft(8) numbers it. */
enum nft_key_order {
	NFT_ORDER_NONE, /* a concatenation */
	NFT_ORDER_HOST,
	NFT_ORDER_NETWORK,
};

/* The table that messages of @batch are about. */
struct nft_table {
	struct nft_batch *batch;
	uint8_t family; /* NFPROTO_* */
};

struct nft_set {
	const char *name, *comment; /* @comment: NULL: none */
	uint32_t type;		    /* enum nft_key_type */
	uint32_t length;	    /* of a key, bytes; parts of a concatenation take 4 or 16 */
	enum nft_key_order order;
	uint32_t flags; /* enum nft_set_flags */
	uint32_t size;	/* elements; an interval has two */
	uint32_t id;	/* of an anonymous set: unique in the batch */
};

/* The hook of a base chain. */
struct nft_hook {
	const char *type; /* "filter", "route"; NULL: no base chain */
	uint32_t number;  /* NF_INET_*, NF_NETDEV_* */
	int32_t priority;
	uint32_t policy;    /* NF_ACCEPT, NF_DROP */
	const char *device; /* NULL: all */
};

/* An element of a set. */
struct nft_element {
	const void *key;
	uint32_t length;     /* of @key, bytes */
	bool interval_end;   /* @key is the first address behind an interval */
	bool interval_open;  /* the interval ends with the last address there is */
	uint64_t timeout_ms; /* 0: none */
};

/* Elements under construction, in as many messages as they take. */
struct nft_elements {
	const struct nft_table *table;
	const char *set;
	uint32_t set_id;
	uint16_t type;		  /* NFT_MSG_NEWSETELEM, NFT_MSG_DELSETELEM */
	struct nlmsghdr *message; /* NULL: none begun */
	struct nlattr *list;
};

void nft_table_add(const struct nft_table *table, const char *comment);
/* Removes the table, which need not be there. */
void nft_table_remove(const struct nft_table *table);

void nft_counter_add(const struct nft_table *table, const char *name, const char *comment);
/* Adds timeouts of conntrack's for TCP connections: @half_closed_s where one end has closed, and
 * the usual ones for the rest. */
void nft_timeouts_add(const struct nft_table *table, const char *name, uint32_t half_closed_s);
void nft_set_add(const struct nft_table *table, const struct nft_set *set);
/* Removes a chain with its rules. */
void nft_chain_remove(const struct nft_table *table, const char *name);

void nft_chain_add(const struct nft_table *table, const char *name, const struct nft_hook *hook);

/* Removes all elements of a set. */
void nft_set_flush(const struct nft_table *table, const char *set);

void nft_elements_put(struct nft_elements *elements, const struct nft_element *element);
/* To be called after the last element. */
void nft_elements_end(struct nft_elements *elements);

#endif
