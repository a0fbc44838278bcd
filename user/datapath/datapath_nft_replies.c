// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_replies.h"

#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>

#include "datapath/datapath_nft_expr.h"
#include "datapath/datapath_nft_input.h"
#include "datapath/datapath_nft_match.h"
#include "lib/util.h"

void nft_replies_add(const struct nft_table *table, const char *chain, uint32_t icmp_set)
{
	static const uint8_t protocols[] = {IPPROTO_ICMP, IPPROTO_ICMPV6};
	struct nft_elements elements = {
		.table = table,
		.set = NFT_ANONYMOUS_SET,
		.set_id = icmp_set,
		.type = NFT_MSG_NEWSETELEM,
	};
	size_t i;

	nft_set_add(table, &(const struct nft_set) {
				   .name = NFT_ANONYMOUS_SET,
				   .id = icmp_set,
				   .type = NFT_KEY_PROTOCOL,
				   .length = 1,
				   .order = NFT_ORDER_HOST,
				   .flags = NFT_SET_ANONYMOUS | NFT_SET_CONSTANT,
				   .size = ARRAY_SIZE(protocols),
			   });
	for (i = 0; i < ARRAY_SIZE(protocols); i++)
		nft_elements_put(&elements,
				 &(const struct nft_element) {.key = &protocols[i], .length = 1});
	nft_elements_end(&elements);
	RULE(chain, TCP, MARKED(NFT_CT_INBOUND), DIRECTION(IP_CT_DIR_REPLY), NOT_OPENING,
	     GOTO("as_reply"));
	RULE(chain, NOT_PROTOCOL(IPPROTO_TCP), MARKED(NFT_CT_INBOUND), DIRECTION(IP_CT_DIR_REPLY),
	     GOTO("as_reply"));
	COMMENTED_RULE(chain, "errors", LOAD_META(NFT_META_L4PROTO), IN_ANONYMOUS_SET(icmp_set),
		       MARKED(NFT_CT_INBOUND), STATE(CT_RELATED), GOTO("as_error"));
	/* Source, port, destination, port: parts of one key, four bytes or sixteen each. */
	RULE(chain, TCP, NOT_OPENING, IPV4, LOAD_NETWORK_AT(0, 12, 4), LOAD_TRANSPORT_AT(1, 0, 2),
	     LOAD_NETWORK_AT(2, 16, 4), LOAD_TRANSPORT_AT(3, 2, 2), IN_SET("inbound4"),
	     GOTO("as_reply"));
	RULE(chain, TCP, NOT_OPENING, IPV6, LOAD_NETWORK_AT(0, 8, 16), LOAD_TRANSPORT_AT(4, 0, 2),
	     LOAD_NETWORK_AT(5, 24, 16), LOAD_TRANSPORT_AT(9, 2, 2), IN_SET("inbound6"),
	     GOTO("as_reply"));
}
