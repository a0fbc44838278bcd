/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two tables of the nftables datapath: one judges the packets of this network namespace, the
 * other one guards its devices against packet sockets.
 *
 * The decision is that of bpf/decide.h, in its order. Counters have the names of its verdicts, in
 * capitals, since some are words of nft(8).
 */
#ifndef SIDESTEP_DATAPATH_NFT_RULES_H
#define SIDESTEP_DATAPATH_NFT_RULES_H

#include <net/if.h>
#include <stddef.h>

#include "datapath/datapath_nft_input.h"
#include "datapath/datapath_nft_table.h"

/* Adds the judging table without elements, in place of one that is there. */
void nft_rules_add(struct nft_batch *batch, const struct nft_rules *rules);

/* Adds the guard of devices by these names without elements, in place of one that is there. Without
 * devices there is no guard. @no_log: as in struct nft_rules. */
void nft_rules_add_guard(struct nft_batch *batch, const char (*names)[IFNAMSIZ], size_t count,
			 bool no_log);

#endif
