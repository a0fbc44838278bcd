/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bypassed prefixes as the nftables datapath keeps them: sorted, because its sets take
 * intervals that do not overlap. Pure.
 */
#ifndef SIDESTEP_DATAPATH_NFT_BYPASS_H
#define SIDESTEP_DATAPATH_NFT_BYPASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/address.h"
#include "sidestep.h"

struct nft_bypass {
	struct prefix prefix;
	uint32_t sources; /* enum sidestep_bypass_source */
};

/* Sorted by address and length, without duplicates. */
struct nft_bypass_list {
	struct nft_bypass *items;
	size_t count, room;
};

/* Adds or replaces. Returns 0, -ENOMEM, or -ENOSPC above 2 * SIDESTEP_MAX_BYPASS. */
int nft_bypass_set(struct nft_bypass_list *list, const struct prefix *prefix, uint32_t sources);
void nft_bypass_remove(struct nft_bypass_list *list, const struct prefix *prefix);
bool nft_bypass_has(const struct nft_bypass_list *list, const uint8_t address[16]);

/* Finds the first prefix from @index on that has one of @sources and is of the family. Prefixes
 * within @previous (NULL: none) are skipped. Returns NULL behind the last one. @index moves on. */
const struct prefix *nft_bypass_next(const struct nft_bypass_list *list, bool ipv4,
				     uint32_t sources, const struct prefix *previous,
				     size_t *index);

#endif
