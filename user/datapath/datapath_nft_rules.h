/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of the nftables table of user/datapath/datapath_nft.c: rules, sets, and what changes in
 * them, as nft(8) reads it. Pure, no I/O but to the stream given.
 */
#ifndef SIDESTEP_DATAPATH_NFT_RULES_H
#define SIDESTEP_DATAPATH_NFT_RULES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/address.h"
#include "sidestep.h"

/* Families and name of the tables: what judges, and what guards the devices. */
#define NFT_TABLE	"inet sidestep"
#define NFT_GUARD_TABLE "netdev sidestep"

/* Bits of conntrack's mark (not of the packet's, which do not outlive it). */
#define NFT_CT_INBOUND 0x40000000 /* came from outside */
#define NFT_CT_OWN     0x20000000 /* opened by the proxy */

/* Room of the set `own`: ports of the proxy's. */
#define NFT_OWN_MAX 65536

struct nft_bypass {
	struct prefix prefix;
	uint32_t sources; /* enum sidestep_bypass_source */
};

/* Sorted by address, then length; no duplicates. */
struct nft_bypass_list {
	struct nft_bypass *items;
	size_t count, room;
};

/* A port that the proxy holds. */
struct nft_own {
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	uint16_t port;	  /* host byte order */
};

struct nft_rules {
	uint16_t listeners[SIDESTEP_LISTENERS]; /* ports, host byte order; 0: refuse */
	uint32_t out_mark; /* packets that may leave; the routing rule's (plan.h) */
	uint32_t own_mark; /* secret: on the proxy's sockets, next to their port */
	bool udp_pass;
	const char *gateway; /* for whoever lists the table */
};

/* Adds or replaces. 0, -ENOMEM, or -ENOSPC above 2 * SIDESTEP_MAX_BYPASS. */
int nft_bypass_set(struct nft_bypass_list *list, const struct prefix *prefix, uint32_t sources);
void nft_bypass_remove(struct nft_bypass_list *list, const struct prefix *prefix);
bool nft_bypass_has(const struct nft_bypass_list *list, const uint8_t address[16]);

/* The table as a whole but for elements, in place of one that is there: one transaction. */
void nft_write_table(FILE *out, const struct nft_rules *rules);

/* The contents of a table's bypass sets, in place of those that are there. */
void nft_write_bypass(FILE *out, const struct nft_bypass_list *list, const char *table);

/* The guard of devices by these names, but for its sets, in place of one that is there. Names that
 * nft(8) could not read are left out. */
void nft_write_guard_table(FILE *out, const char (*names)[IFNAMSIZ], size_t count);

/* Connections that came from outside before the table was there. */
void nft_write_inbound(FILE *out, const struct sidestep_flow_key *keys, size_t count);

/* @timeout_s: 0: for good. Also where it is in already, with whatever time. */
void nft_write_own(FILE *out, const struct nft_own *own, unsigned int timeout_s);

#endif
