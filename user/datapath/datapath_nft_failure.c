// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_failure.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "lib/log.h"
#include "lib/util.h"

#define NF_TABLES "nf_tables (CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET)"

/* Expressions that modules of their own provide. */
static const struct {
	const char *name, *needs;
	enum nft_part part;
} modules[] = {
	{"ct", "nft_ct, nf_conntrack (CONFIG_NFT_CT, CONFIG_NF_CONNTRACK_MARK)", NFT_PART_NEEDED},
	{"socket", "nft_socket, nf_socket_ipv4, nf_socket_ipv6 (CONFIG_NFT_SOCKET)",
	 NFT_PART_SOCKET},
	{"tproxy", "nft_tproxy, nf_tproxy_ipv4, nf_tproxy_ipv6 (CONFIG_NFT_TPROXY)",
	 NFT_PART_TPROXY},
	{"redir", "nft_redir, nf_nat (CONFIG_NFT_REDIR, CONFIG_NF_NAT)", NFT_PART_NEEDED},
	{"reject", "nft_reject_inet (CONFIG_NFT_REJECT_INET)", NFT_PART_REJECT},
	{"log", "nft_log, nfnetlink_log (CONFIG_NFT_LOG, CONFIG_NETFILTER_NETLINK_LOG)",
	 NFT_PART_LOG},
	{"limit", "nft_limit (CONFIG_NFT_LIMIT)", NFT_PART_LOG},
	{"objref", "nft_objref (CONFIG_NFT_OBJREF)", NFT_PART_NEEDED},
};

/* Objects by the type of their message. */
static const struct {
	const char *name, *needs;
	uint16_t attribute; /* of the object's name; 0: none */
	uint8_t type;	    /* NFT_MSG_* */
} kinds[] = {
	{"the table", NF_TABLES, 0, NFT_MSG_NEWTABLE},
	{"the removal of the table", NULL, 0, NFT_MSG_DELTABLE},
	{"chain", NULL, NFTA_CHAIN_NAME, NFT_MSG_NEWCHAIN},
	{"a rule of chain", NULL, NFTA_RULE_CHAIN, NFT_MSG_NEWRULE},
	{"set", NULL, NFTA_SET_NAME, NFT_MSG_NEWSET},
	{"elements of set", NULL, NFTA_SET_ELEM_LIST_SET, NFT_MSG_NEWSETELEM},
	{"the removal of elements of set", NULL, NFTA_SET_ELEM_LIST_SET, NFT_MSG_DELSETELEM},
	{"object", "nft_counter (CONFIG_NFT_COUNTER)", NFTA_OBJ_NAME, NFT_MSG_NEWOBJ},
};

static const struct nlattr *find(const struct nlmsghdr *message, uint16_t type)
{
	const struct nlattr *attribute;

	mnl_attr_for_each (attribute, message, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attribute) == type)
			return attribute;
	}
	return NULL;
}

/* Finds the first expression of a rule that a module provides. */
static void describe_rule(const struct nlmsghdr *message, const char *chain,
			  struct nft_failure *failure)
{
	const struct nlattr *list = find(message, NFTA_RULE_EXPRESSIONS), *item;
	size_t i;

	if (!list)
		return;
	mnl_attr_for_each_nested (item, list) {
		const struct nlattr *name = mnl_attr_get_payload(item);

		for (i = 0; i < ARRAY_SIZE(modules); i++) {
			if (strcmp(mnl_attr_get_str(name), modules[i].name) != 0)
				continue;
			failure->needs = modules[i].needs;
			failure->part = modules[i].part;
			(void)snprintf(failure->object, sizeof(failure->object),
				       "the expression %s in chain %s", modules[i].name, chain);
			return;
		}
	}
}

/* A hook's type may have a module of its own. */
static void describe_chain(const struct nlmsghdr *message, struct nft_failure *failure)
{
	const struct nlattr *type = find(message, NFTA_CHAIN_TYPE);

	if (type && strcmp(mnl_attr_get_str(type), "nat") == 0)
		failure->needs = "nft_chain_nat, nf_nat (CONFIG_NFT_NAT, CONFIG_NF_NAT)";
}

static void describe_object(const struct nlmsghdr *message, struct nft_failure *failure)
{
	const struct nlattr *type = find(message, NFTA_OBJ_TYPE);

	if (!type || ntohl(mnl_attr_get_u32(type)) != NFT_OBJECT_CT_TIMEOUT)
		return;
	failure->needs = "nft_ct (CONFIG_NF_CONNTRACK_TIMEOUT)";
	failure->part = NFT_PART_TIMEOUTS;
}

void nft_failure_describe(const struct nlmsghdr *message, int error,
			  struct nft_failure *ret_failure)
{
	const struct nfgenmsg *header;
	const char *name = "";
	size_t i;

	*ret_failure = (struct nft_failure) {.error = error, .object = "the transaction"};
	/* NFNL_MSG_BATCH_BEGIN: the kernel refused before it read the rest. */
	if (!message || NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_NFTABLES) {
		ret_failure->needs = message ? NF_TABLES : NULL;
		return;
	}
	header = mnl_nlmsg_get_payload(message);
	ret_failure->family = header->nfgen_family;
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct nlattr *attribute;

		if (kinds[i].type != NFNL_MSG_TYPE(message->nlmsg_type))
			continue;
		attribute = kinds[i].attribute ? find(message, kinds[i].attribute) : NULL;
		if (attribute)
			name = mnl_attr_get_str(attribute);
		ret_failure->needs = kinds[i].needs;
		(void)snprintf(ret_failure->object, sizeof(ret_failure->object), "%s%s%s",
			       kinds[i].name, *name ? " " : "", name);
		if (kinds[i].type == NFT_MSG_NEWRULE)
			describe_rule(message, name, ret_failure);
		if (kinds[i].type == NFT_MSG_NEWCHAIN)
			describe_chain(message, ret_failure);
		if (kinds[i].type == NFT_MSG_NEWOBJ)
			describe_object(message, ret_failure);
		return;
	}
}

/* Whether the kernel lacks something. */
static bool is_missing(int error)
{
	return error == -ENOENT || error == -EOPNOTSUPP || error == -EAFNOSUPPORT ||
	       error == -EPROTONOSUPPORT;
}

bool nft_failure_lacks(const struct nft_failure *failure, enum nft_part part)
{
	return failure->part == part && is_missing(failure->error);
}

int nft_failure_log(const struct nft_failure *failure, const char *action)
{
	static const char bpf[] = "use BPF (--datapath bpf, or the host's sidestep agent)";

	if (failure->error == -EPERM)
		return log_errno(failure->error,
				 "cannot %s: the kernel refuses it. Run this with CAP_NET_ADMIN, "
				 "or %s",
				 action, bpf);
	if (failure->needs && is_missing(failure->error))
		return log_errno(failure->error,
				 "cannot %s: the kernel refuses %s, which needs %s. Load or build "
				 "the module on the host, or %s",
				 action, failure->object, failure->needs, bpf);
	return log_errno(failure->error, "cannot %s: the kernel refuses %s", action,
			 failure->object);
}
