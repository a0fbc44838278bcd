// SPDX-License-Identifier: Apache-2.0
#include "doctor/doctor_nft.h"

#include <libnftnl/chain.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/table.h>
#include <stdio.h>
#include <string.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "datapath/datapath_nft_batch.h"
#include "lib/netlink_socket.h"
#include "lib/util.h"

/* Adds "FAMILY NAME" unless the list has it. */
static void add_name(char list[DOCTOR_NFT_NAMES_MAX], uint32_t family, const char *name)
{
	char text[DOCTOR_NFT_NAMES_MAX / 4];
	size_t used = strlen(list);

	(void)snprintf(text, sizeof(text), "%s %s", doctor_chains_family(family), name);
	if (!strstr(list, text) && used + strlen(text) + 3 < DOCTOR_NFT_NAMES_MAX)
		(void)snprintf(list + used, DOCTOR_NFT_NAMES_MAX - used, "%s%s", used ? ", " : "",
			       text);
}

static void table_free(struct nftnl_table **table)
{
	nftnl_table_free(*table);
}

static void chain_free(struct nftnl_chain **chain)
{
	nftnl_chain_free(*chain);
}

static void rule_free(struct nftnl_rule **rule)
{
	nftnl_rule_free(*rule);
}

static int visit_table(const struct nlmsghdr *header, void *data)
{
	_cleanup_(table_free) struct nftnl_table *table = nftnl_table_alloc();
	struct doctor_nft *nft = data;
	const char *name;

	if (!table || nftnl_table_nlmsg_parse(header, table) < 0)
		return MNL_CB_OK;
	name = nftnl_table_get_str(table, NFTNL_TABLE_NAME);
	if (strcmp(name, NFT_TABLE_NAME) == 0)
		nft->own = true;
	else
		add_name(nft->tables, nftnl_table_get_u32(table, NFTNL_TABLE_FAMILY), name);
	nft->firewalld |= strcmp(name, "firewalld") == 0;
	return MNL_CB_OK;
}

/* ufw works by iptables, and its chains begin with its name. */
static int visit_chain(const struct nlmsghdr *header, void *data)
{
	_cleanup_(chain_free) struct nftnl_chain *chain = nftnl_chain_alloc();
	struct doctor_nft *nft = data;

	if (!chain || nftnl_chain_nlmsg_parse(header, chain) < 0 ||
	    strcmp(nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE), NFT_TABLE_NAME) == 0)
		return MNL_CB_OK;
	nft->ufw |= strncmp(nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME), "ufw-", 4) == 0;
	doctor_chains_add(&nft->chains, chain);
	return MNL_CB_OK;
}

/* iptables' targets are the expression "target". */
static bool takes_connections(const struct nftnl_expr *expr)
{
	const char *name = nftnl_expr_get_str(expr, NFTNL_EXPR_NAME);

	if (strcmp(name, "target") == 0) {
		name = nftnl_expr_get_str(expr, NFTNL_EXPR_TG_NAME);
		return name && (strcmp(name, "TPROXY") == 0 || strcmp(name, "REDIRECT") == 0);
	}
	return strcmp(name, "tproxy") == 0 || strcmp(name, "redir") == 0;
}

struct rule_visit {
	struct doctor_nft *nft;
	bool takes;
};

static int visit_expression(struct nftnl_expr *expr, void *data)
{
	struct rule_visit *visit = data;

	visit->takes |= takes_connections(expr);
	return 0;
}

static int visit_rule(const struct nlmsghdr *header, void *data)
{
	_cleanup_(rule_free) struct nftnl_rule *rule = nftnl_rule_alloc();
	struct rule_visit visit = {.nft = data};
	const char *table;

	if (!rule || nftnl_rule_nlmsg_parse(header, rule) < 0)
		return MNL_CB_OK;
	table = nftnl_rule_get_str(rule, NFTNL_RULE_TABLE);
	(void)nftnl_expr_foreach(rule, visit_expression, &visit);
	if (visit.takes && strcmp(table, NFT_TABLE_NAME) != 0)
		add_name(visit.nft->interceptors, nftnl_rule_get_u32(rule, NFTNL_RULE_FAMILY),
			 table);
	doctor_chains_judge(&visit.nft->chains, rule);
	visit.nft->docker_user |= strcmp(nftnl_rule_get_str(rule, NFTNL_RULE_CHAIN),
					 "DOCKER-USER") == 0;
	return MNL_CB_OK;
}

static void dump(struct netlink_socket *socket, uint16_t type, mnl_cb_t callback,
		 struct doctor_nft *nft)
{
	char buffer[256];

	(void)netlink_socket_talk(
		socket, nftnl_nlmsg_build_hdr(buffer, type, NFPROTO_UNSPEC, NLM_F_DUMP, 0),
		callback, nft);
}

/* The tables of iptables of the old kind; NAMES has one a line. */
static void read_legacy(const char *names, uint32_t family, struct doctor_nft *nft,
			struct doctor_legacy *found)
{
	_cleanup_fclose_ FILE *file = fopen(names, "re");
	char line[64];

	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		add_name(nft->tables, family, line);
		found->takes = false;
		if (doctor_legacy_read(family == NFPROTO_IPV6 ? AF_INET6 : AF_INET, line, found) <
		    0)
			continue;
		if (found->takes)
			add_name(nft->interceptors, family, line);
		nft->ufw |= found->ufw;
	}
}

void doctor_nft_read(struct doctor_nft *ret_nft)
{
	struct netlink_socket socket = {.socket = NULL};

	*ret_nft = (struct doctor_nft) {.own = false};
	read_legacy("/proc/thread-self/net/ip_tables_names", NFPROTO_IPV4, ret_nft,
		    &ret_nft->legacy4);
	read_legacy("/proc/thread-self/net/ip6_tables_names", NFPROTO_IPV6, ret_nft,
		    &ret_nft->legacy6);
	if (netlink_socket_open(&socket, NETLINK_NETFILTER) < 0)
		return;
	dump(&socket, NFT_MSG_GETTABLE, visit_table, ret_nft);
	dump(&socket, NFT_MSG_GETCHAIN, visit_chain, ret_nft);
	dump(&socket, NFT_MSG_GETRULE, visit_rule, ret_nft);
	netlink_socket_close(&socket);
}
