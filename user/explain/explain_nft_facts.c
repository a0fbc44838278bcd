// SPDX-License-Identifier: Apache-2.0
#include "explain/explain_nft_facts.h"

#include <errno.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include "datapath/datapath_nft_batch.h"
#include "datapath/datapath_nft_input.h"
#include "lib/array.h"
#include "lib/netlink_socket.h"
#include "lib/util.h"

#define RULES_MAX 4096

/* The table's comment has this in front of the gateway (user/datapath/datapath_nft_rules.c). */
#define GATEWAY_MARK ", gateway "

/* The text that user data has under @type. */
struct comment {
	uint8_t type;
	char *text;
	size_t size;
};

static int read_comment(const struct nftnl_udata *attribute, void *data)
{
	const struct comment *comment = data;

	if (nftnl_udata_type(attribute) == comment->type)
		(void)snprintf(comment->text, comment->size, "%.*s",
			       (int)nftnl_udata_len(attribute),
			       (const char *)nftnl_udata_get(attribute));
	return 0;
}

static int note_counter(struct nftnl_expr *expression, void *data)
{
	struct nft_rule_fact *fact = data;

	if (strcmp(nftnl_expr_get_str(expression, NFTNL_EXPR_NAME), "objref") == 0 &&
	    nftnl_expr_get_u32(expression, NFTNL_EXPR_OBJREF_IMM_TYPE) == NFT_OBJECT_COUNTER)
		(void)snprintf(fact->counter, sizeof(fact->counter), "%s",
			       nftnl_expr_get_str(expression, NFTNL_EXPR_OBJREF_IMM_NAME));
	return 0;
}

static int on_rule(const struct nlmsghdr *header, void *data)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();
	struct nft_rule_fact fact = {.handle = 0};
	const struct comment comment = {NFTNL_UDATA_RULE_COMMENT, fact.comment,
					sizeof(fact.comment)};
	const void *user;
	uint32_t size = 0;

	if (rule && nftnl_rule_nlmsg_parse(header, rule) == 0) {
		fact.handle = nftnl_rule_get_u64(rule, NFTNL_RULE_HANDLE);
		user = nftnl_rule_get_data(rule, NFTNL_RULE_USERDATA, &size);
		if (user)
			(void)nftnl_udata_parse(user, size, read_comment, (void *)&comment);
		(void)nftnl_expr_foreach(rule, note_counter, &fact);
		(void)array_append(data, &fact);
	}
	if (rule)
		nftnl_rule_free(rule);
	return MNL_CB_OK;
}

static int on_table(const struct nlmsghdr *header, void *data)
{
	struct nftnl_table *table = nftnl_table_alloc();
	struct nft_table_facts *facts = data;
	char text[192] = "";
	const struct comment comment = {NFTNL_UDATA_TABLE_COMMENT, text, sizeof(text)};
	const char *gateway;
	const void *user;
	uint32_t size = 0;

	if (table && nftnl_table_nlmsg_parse(header, table) == 0) {
		user = nftnl_table_get_data(table, NFTNL_TABLE_USERDATA, &size);
		if (user)
			(void)nftnl_udata_parse(user, size, read_comment, (void *)&comment);
		gateway = strstr(text, GATEWAY_MARK);
		if (gateway)
			(void)snprintf(facts->gateway, sizeof(facts->gateway), "%s",
				       gateway + strlen(GATEWAY_MARK));
	}
	if (table)
		nftnl_table_free(table);
	return MNL_CB_OK;
}

/* Asks for the table @NFT_TABLE_NAME or what is in it. */
static int ask(struct netlink_socket *socket, uint16_t type, uint16_t flags, mnl_cb_t callback,
	       void *context)
{
	union {
		struct nlmsghdr header;
		char bytes[256];
	} request;
	struct nlmsghdr *header = nftnl_nlmsg_build_hdr((char *)&request, type, NFT_JUDGE_FAMILY,
							flags, 0);

	mnl_attr_put_strz(header, NFTA_TABLE_NAME, NFT_TABLE_NAME);
	return netlink_socket_talk(socket, header, callback, context);
}

int nft_facts_read(struct nft_table_facts *ret_facts)
{
	_cleanup_netlink_socket_ struct netlink_socket socket = {.socket = NULL};
	struct array rules = {.limit = RULES_MAX, .size = sizeof(struct nft_rule_fact)};
	int error = netlink_socket_open(&socket, NETLINK_NETFILTER);

	*ret_facts = (struct nft_table_facts) {.rules = NULL};
	if (error == 0)
		error = ask(&socket, NFT_MSG_GETTABLE, 0, on_table, ret_facts);
	/* A table of redirected connections that is left for the agent names no gateway. */
	if (error == 0 && !*ret_facts->gateway)
		error = -ENOENT;
	if (error == 0)
		error = ask(&socket, NFT_MSG_GETRULE, NLM_F_DUMP, on_rule, &rules);
	ret_facts->rules = rules.items;
	ret_facts->count = rules.count;
	return error;
}

void nft_facts_release(struct nft_table_facts *facts)
{
	free(facts->rules);
	*facts = (struct nft_table_facts) {.rules = NULL};
}
