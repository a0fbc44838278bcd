/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that let out replies to connections from outside. */
#ifndef SIDESTEP_DATAPATH_NFT_REPLIES_H
#define SIDESTEP_DATAPATH_NFT_REPLIES_H

#include <stdint.h>

#include "datapath/datapath_nft_table.h"

/* Adds them to a chain. @icmp_set: a number for its anonymous set. */
void nft_replies_add(const struct nft_table *table, const char *chain, uint32_t icmp_set);

#endif
