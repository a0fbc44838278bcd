/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the rules of the sidecar's nftables table, which a trace event names by their handles. */
#ifndef SIDESTEP_EXPLAIN_NFT_FACTS_H
#define SIDESTEP_EXPLAIN_NFT_FACTS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/util.h"

/* A rule of the sidecar's table. */
struct nft_rule_fact {
	uint64_t handle;
	char counter[32]; /* "": it has none */
	char comment[96]; /* "": it has none */
};

/* The facts about the sidecar's table. */
struct nft_table_facts {
	struct nft_rule_fact *rules;
	size_t count;
	char gateway[128]; /* "": not known */
};

/* Reads the sidecar's table. Returns 0, -ENOENT: there is none, or another negative errno. */
int nft_facts_read(struct nft_table_facts *ret_facts);
void nft_facts_release(struct nft_table_facts *facts);

#define _cleanup_facts_ _cleanup_(nft_facts_release)

#endif
