// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_denied.h"

#include <stdio.h>

static void add_chain(const struct nft_table *table, const char *name, bool no_log)
{
	char chain[32];

	(void)snprintf(chain, sizeof(chain), "drop_%s", name);
	nft_chain_add(table, chain, &(const struct nft_hook) {0});
	if (!no_log) {
		RULE(chain, LIMIT(NFT_LOG_RATE, NFT_LOG_SAVED),
		     LOG(NFT_LOG_GROUP, NFT_LOG_BYTES, name), DROP);
		RULE(chain, COUNT(UNTOLD));
	}
	RULE(chain, DROP);
}

void nft_denied_add(const struct nft_table *table, const char *const *names, size_t count,
		    bool no_log)
{
	size_t i;

	nft_counter_add(table, "UNTOLD", "denied packets without a record");
	for (i = 0; i < count; i++)
		add_chain(table, names[i], no_log);
}
