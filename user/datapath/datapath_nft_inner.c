// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_inner.h"

#include <netinet/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>

#include "datapath/datapath_nft_denied.h"
#include "datapath/datapath_nft_expr.h"
#include "datapath/datapath_nft_match.h"
#include "datapath/datapath_nft_replies.h"
#include "datapath/datapath_nft_steer.h"

void nft_inner_add_chains(const struct nft_table *table)
{
	nft_chain_add(table, "inner_denied", &(const struct nft_hook) {0});
	nft_chain_add(table, "inner_steer", &(const struct nft_hook) {0});
	nft_chain_add(table, "from_inner", &(const struct nft_hook) {0});
}

/* Refuses packets that are neither steered nor let out. */
static void add_refusals(const struct nft_table *table, const struct nft_rules *rules)
{
	static const char chain[] = "from_inner";

	switch (rules->udp) {
	case SIDESTEP_UDP_PASS:
		RULE(chain, UDP, COUNT(PASS_UDP), GOTO("let_out"));
		break;
	case SIDESTEP_UDP_DROP:
		COMMENTED_RULE(chain, "the sender hears nothing", UDP, DENY(DENY_UDP));
		break;
	case SIDESTEP_UDP_DENY:
		if (!rules->no_log)
			RULE(chain, UDP, TELL(DENY_UDP));
		RULE(chain, UDP, COUNT(DENY_UDP), GOTO("inner_denied"));
		break;
	}
	if (!rules->no_log)
		RULE(chain, TELL(DENY_PROTOCOL));
	RULE(chain, COUNT(DENY_PROTOCOL), GOTO("inner_denied"));
	if (!rules->no_reject)
		RULE("inner_denied", PROHIBIT);
	RULE("inner_denied", DROP);
}

static void add_bridged(const struct nft_table *table, const struct nft_rules *rules)
{
	static const char chain[] = "inner_bridged";
	static const struct nft_hook hook = {"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_FIRST,
					     NF_ACCEPT, NULL};

	nft_chain_add(table, chain, &hook);
	COMMENTED_RULE(chain, "steered at the bridge", HAS_NOT_MARK(SIDESTEP_STEER_MARK), ACCEPT);
	nft_steer_add_tproxy(table, rules, chain);
}

void nft_inner_add_rules(const struct nft_table *table, const struct nft_rules *rules)
{
	static const char chain[] = "from_inner", steer[] = "inner_steer";

	COMMENTED_RULE(chain, "only rules here may set it", HAS_MARK(rules->out_mark), SET_MARK(0));
	RULE(chain, IPV4, TO4("local4"), COUNT(LOCAL), ACCEPT);
	RULE(chain, IPV6, TO6("local6"), COUNT(LOCAL), ACCEPT);
	EXCEPTED_DNS(chain, IPV4, IPV6, GOTO(steer));
	RULE(chain, IPV4, TO4("link4"), COUNT(LINK), ACCEPT);
	RULE(chain, IPV6, TO6("link6"), COUNT(LINK), ACCEPT);
	RULE(chain, IPV4, TO4("bypass4"), FROM4("bypass4"), COUNT(BRIDGE), ACCEPT);
	RULE(chain, IPV6, TO6("bypass6"), FROM6("bypass6"), COUNT(BRIDGE), ACCEPT);
	RULE(chain, UDP, DESTINATION_PORT, PORT_IS(53), GOTO(steer));
	nft_replies_add(table, chain, NFT_INNER_ICMP_SET);
	RULE(chain, TCP, GOTO(steer));
	add_refusals(table, rules);
	RULE(steer, UDP, COUNT(STEER_DNS));
	COMMENTED_RULE(steer, "to the proxy's routing table", SET_MARK(SIDESTEP_STEER_MARK),
		       GOTO("to_proxy"));
	add_bridged(table, rules);
}

void nft_inner_renew_bridged(const struct nft_table *table, const struct nft_rules *rules)
{
	nft_chain_remove(table, "inner_bridged");
	add_bridged(table, rules);
}
