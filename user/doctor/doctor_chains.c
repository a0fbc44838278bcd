// SPDX-License-Identifier: Apache-2.0
#include "doctor/doctor_chains.h"

#include <libnftnl/expr.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "lib/util.h"

/* Linux 5.10. */
#define HOOK_INET_INGRESS 5

const char *doctor_chains_family(uint32_t family)
{
	switch (family) {
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_ARP:
		return "arp";
	case NFPROTO_BRIDGE:
		return "bridge";
	default:
		return "netdev";
	}
}

/* Copies a name that a command line can have. */
static bool copy_name(char target[32], const char *name)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	size_t length = strlen(name);

	if (length == 0 || length >= 32 || name[0] == '-' || strspn(name, allowed) != length)
		return false;
	memcpy(target, name, length + 1);
	return true;
}

void doctor_chains_add(struct doctor_chains *chains, const struct nftnl_chain *chain)
{
	struct doctor_chain item = {.family = nftnl_chain_get_u32(chain, NFTNL_CHAIN_FAMILY)};

	if (chains->count == DOCTOR_CHAINS_MAX || !nftnl_chain_is_set(chain, NFTNL_CHAIN_HOOKNUM) ||
	    !copy_name(item.table, nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE)) ||
	    !copy_name(item.name, nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME)))
		return;
	item.hook = nftnl_chain_get_u32(chain, NFTNL_CHAIN_HOOKNUM);
	/* The hook egress of devices is nobody's way to a gateway. */
	if (item.family == NFPROTO_NETDEV && item.hook != NF_NETDEV_INGRESS)
		return;
	if (item.family == NFPROTO_NETDEV || item.hook == HOOK_INET_INGRESS)
		item.hook = NF_INET_PRE_ROUTING;
	item.policy = nftnl_chain_is_set(chain, NFTNL_CHAIN_POLICY) &&
		      nftnl_chain_get_u32(chain, NFTNL_CHAIN_POLICY) == NF_DROP;
	chains->items[chains->count++] = item;
}

struct effect {
	bool drops, jumps;
};

/* iptables' targets are the expression "target". */
static int visit_expression(struct nftnl_expr *expr, void *data)
{
	const char *name = nftnl_expr_get_str(expr, NFTNL_EXPR_NAME);
	struct effect *effect = data;
	int verdict;

	if (strcmp(name, "reject") == 0) {
		effect->drops = true;
	} else if (strcmp(name, "target") == 0) {
		name = nftnl_expr_get_str(expr, NFTNL_EXPR_TG_NAME);
		effect->drops |= name && strcmp(name, "REJECT") == 0;
	} else if (strcmp(name, "immediate") == 0 &&
		   nftnl_expr_is_set(expr, NFTNL_EXPR_IMM_VERDICT)) {
		verdict = (int)nftnl_expr_get_u32(expr, NFTNL_EXPR_IMM_VERDICT);
		effect->drops |= verdict == NF_DROP;
		effect->jumps |= verdict == NFT_JUMP || verdict == NFT_GOTO;
	} else if (strcmp(name, "lookup") == 0) {
		/* A map of verdicts may do either. */
		effect->drops |= nftnl_expr_is_set(expr, NFTNL_EXPR_LOOKUP_DREG) &&
				 nftnl_expr_get_u32(expr, NFTNL_EXPR_LOOKUP_DREG) ==
					 NFT_REG_VERDICT;
		effect->jumps |= effect->drops;
	}
	return 0;
}

void doctor_chains_judge(struct doctor_chains *chains, struct nftnl_rule *rule)
{
	const char *table = nftnl_rule_get_str(rule, NFTNL_RULE_TABLE);
	const char *name = nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN);
	uint32_t family = nftnl_rule_get_u32(rule, NFTNL_RULE_FAMILY);
	struct doctor_chain *item, *base = NULL;
	struct effect effect = {.drops = false};
	size_t i;

	(void)nftnl_expr_foreach(rule, visit_expression, &effect);
	for (i = 0; i < chains->count; i++) {
		item = &chains->items[i];
		if (item->family == family && strcmp(item->table, table) == 0 &&
		    strcmp(item->name, name) == 0)
			base = item;
	}
	if (base) {
		base->drops |= effect.drops;
		base->jumps |= effect.jumps;
		return;
	}
	for (i = 0; i < chains->count && effect.drops; i++) {
		item = &chains->items[i];
		item->table_drops |= item->family == family && strcmp(item->table, table) == 0;
	}
}

bool doctor_chain_may_drop(const struct doctor_chain *chain, int family, unsigned int hooks)
{
	uint32_t other = family == AF_INET ? NFPROTO_IPV6 : NFPROTO_IPV4;

	return hooks & 1U << chain->hook && chain->family != other &&
	       chain->family != NFPROTO_ARP &&
	       (chain->policy || chain->drops || (chain->jumps && chain->table_drops));
}
