/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sets of the nftables datapath and their elements: bypassed prefixes, inbound connections that
 * are older than the table, and ports that the proxy holds.
 */
#ifndef SIDESTEP_DATAPATH_NFT_SETS_H
#define SIDESTEP_DATAPATH_NFT_SETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath_nft_bypass.h"
#include "datapath/datapath_nft_devices.h"
#include "datapath/datapath_nft_table.h"
#include "sidestep.h"

/* Room of the set `own`: ports that the proxy holds. */
#define NFT_OWN_MAX 65536

/* A port that the proxy holds. */
struct nft_own {
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP */
	uint16_t port;	  /* host byte order */
};

/* Adds the sets local4, link4, bypass4, except4, and those of IPv6. Both tables have them. */
void nft_sets_add_bypass(const struct nft_table *table);

/* Adds the sets inbound4, inbound6 and own. */
void nft_sets_add_connections(const struct nft_table *table);

/* Adds the set of inner devices, by index, and fills it. @flush: removes its elements first. */
void nft_sets_add_inner(const struct nft_table *table);
void nft_sets_put_inner(const struct nft_table *table, const struct nft_devices *devices,
			bool flush);

/* Fills the bypass sets. @flush: removes their elements first. */
void nft_sets_put_bypass(const struct nft_table *table, const struct nft_bypass_list *list,
			 bool flush);

/* Adds connections that came from outside before the table was there: @keys from @first up to the
 * one in front of @end. */
void nft_sets_put_inbound(const struct nft_table *table, const struct sidestep_flow_key *keys,
			  size_t first, size_t end);

/* Adds ports that are not in the set, for as long as the table is there. */
void nft_sets_put_own(const struct nft_table *table, const struct nft_own *own, size_t count);

/* Adds a port, or renews one that is in the set. @timeout_s: 0: no timeout. */
void nft_sets_renew_own(const struct nft_table *table, const struct nft_own *own,
			unsigned int timeout_s);

#endif
