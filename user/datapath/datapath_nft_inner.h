/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules for what comes from inner devices (user/steering/plan_inner.h), in the order of
 * bpf/decide.h. Marks tell routing rules which packets leave, and which go to the proxy.
 */
#ifndef SIDESTEP_DATAPATH_NFT_INNER_H
#define SIDESTEP_DATAPATH_NFT_INNER_H

#include "datapath/datapath_nft_input.h"
#include "datapath/datapath_nft_table.h"

/* The id of the anonymous set of chain "from_inner". */
#define NFT_INNER_ICMP_SET 2

/* Adds the chains. */
void nft_inner_add_chains(const struct nft_table *table);

/* Adds their rules, and the chain for bridges. The other chains have been added. */
void nft_inner_add_rules(const struct nft_table *table, const struct nft_rules *rules);

/*
 * Renews the chain for bridges, which is due after each change of devices. br_netfilter
 * has our rules judge frames at the bridge. When the bridge hands the packet up, the socket that
 * tproxy chose is lost. ip_sabotage_in() then keeps it from all other hooks
 * (net/bridge/br_netfilter_hooks.c). It comes with the first bridge. This hook has the same
 * priority, and the one that was added last comes first.
 */
void nft_inner_renew_bridged(const struct nft_table *table, const struct nft_rules *rules);

#endif
