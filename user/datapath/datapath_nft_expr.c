// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath_nft_expr.h"

#include <errno.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/udata.h>
#include <stddef.h>
#include <string.h>

/* Offset of the checksum in the UDP header (RFC 768), bytes. */
#define UDP_CHECKSUM 6

/* Room for a rule's comment (NFTNL_UDATA_COMMENT_MAXLEN), bytes. */
#define USER_DATA_ROOM 256

/* Registers of 32 bits, as the kernel numbers them. */
static uint32_t reg(uint32_t at)
{
	return NFT_REG32_00 + at;
}

static void build_meta(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_META_KEY, expr->key);
	nftnl_expr_set_u32(out,
			   expr->kind == NFT_EXPR_META_SET ? NFTNL_EXPR_META_SREG
							   : NFTNL_EXPR_META_DREG,
			   reg(expr->at));
}

static void build_ct(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_CT_KEY, expr->key);
	nftnl_expr_set_u32(out,
			   expr->kind == NFT_EXPR_CT_SET ? NFTNL_EXPR_CT_SREG : NFTNL_EXPR_CT_DREG,
			   reg(expr->at));
}

static void build_payload(struct nftnl_expr *out, const struct nft_expr *expr)
{
	bool set = expr->kind == NFT_EXPR_PAYLOAD_SET;

	nftnl_expr_set_u32(out, set ? NFTNL_EXPR_PAYLOAD_SREG : NFTNL_EXPR_PAYLOAD_DREG,
			   reg(expr->at));
	nftnl_expr_set_u32(out, NFTNL_EXPR_PAYLOAD_BASE, expr->key);
	nftnl_expr_set_u32(out, NFTNL_EXPR_PAYLOAD_OFFSET, expr->offset);
	nftnl_expr_set_u32(out, NFTNL_EXPR_PAYLOAD_LEN, expr->length);
	if (!set)
		return;
	if (expr->key != NFT_PAYLOAD_TRANSPORT_HEADER) {
		nftnl_expr_set_u32(out, NFTNL_EXPR_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_NONE);
		return;
	}
	nftnl_expr_set_u32(out, NFTNL_EXPR_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
	nftnl_expr_set_u32(out, NFTNL_EXPR_PAYLOAD_CSUM_OFFSET, UDP_CHECKSUM);
	nftnl_expr_set_u32(out, NFTNL_EXPR_PAYLOAD_FLAGS, 0);
}

static void build_exthdr(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_EXTHDR_DREG, reg(expr->at));
	nftnl_expr_set_u8(out, NFTNL_EXPR_EXTHDR_TYPE, (uint8_t)expr->key);
	nftnl_expr_set_u32(out, NFTNL_EXPR_EXTHDR_OFFSET, expr->offset);
	nftnl_expr_set_u32(out, NFTNL_EXPR_EXTHDR_LEN, expr->length);
	nftnl_expr_set_u32(out, NFTNL_EXPR_EXTHDR_OP,
			   expr->kind == NFT_EXPR_OPTION_LOAD ? NFT_EXTHDR_OP_IPV4
							      : NFT_EXTHDR_OP_IPV6);
	nftnl_expr_set_u32(out, NFTNL_EXPR_EXTHDR_FLAGS, 0);
}

static void build_tcp_option(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_EXTHDR_SREG, reg(expr->at));
	nftnl_expr_set_u8(out, NFTNL_EXPR_EXTHDR_TYPE, (uint8_t)expr->key);
	nftnl_expr_set_u32(out, NFTNL_EXPR_EXTHDR_OFFSET, expr->offset);
	nftnl_expr_set_u32(out, NFTNL_EXPR_EXTHDR_LEN, expr->length);
	nftnl_expr_set_u32(out, NFTNL_EXPR_EXTHDR_OP, NFT_EXTHDR_OP_TCPOPT);
}

static void build_route(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_RT_KEY, expr->key);
	nftnl_expr_set_u32(out, NFTNL_EXPR_RT_DREG, reg(expr->at));
}

static void build_immediate(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_IMM_DREG, reg(expr->at));
	(void)nftnl_expr_set(out, NFTNL_EXPR_IMM_DATA, &expr->value, expr->length);
}

static void build_bitwise(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_BITWISE_SREG, reg(expr->at));
	nftnl_expr_set_u32(out, NFTNL_EXPR_BITWISE_DREG, reg(expr->at));
	nftnl_expr_set_u32(out, NFTNL_EXPR_BITWISE_LEN, expr->length);
	(void)nftnl_expr_set(out, NFTNL_EXPR_BITWISE_MASK, &expr->mask, expr->length);
	(void)nftnl_expr_set(out, NFTNL_EXPR_BITWISE_XOR, &expr->value, expr->length);
}

static void build_byteorder(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_BYTEORDER_SREG, reg(expr->at));
	nftnl_expr_set_u32(out, NFTNL_EXPR_BYTEORDER_DREG, reg(expr->at));
	nftnl_expr_set_u32(out, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	nftnl_expr_set_u32(out, NFTNL_EXPR_BYTEORDER_LEN, expr->length);
	nftnl_expr_set_u32(out, NFTNL_EXPR_BYTEORDER_SIZE, expr->length);
}

static void build_compare(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_CMP_SREG, reg(expr->at));
	nftnl_expr_set_u32(out, NFTNL_EXPR_CMP_OP, expr->op);
	(void)nftnl_expr_set(out, NFTNL_EXPR_CMP_DATA, &expr->value, expr->length);
}

static void build_lookup(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_LOOKUP_SREG, reg(expr->at));
	(void)nftnl_expr_set_str(out, NFTNL_EXPR_LOOKUP_SET, expr->name);
	if (expr->key)
		nftnl_expr_set_u32(out, NFTNL_EXPR_LOOKUP_SET_ID, expr->key);
}

static void build_object(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_OBJREF_IMM_TYPE, expr->key);
	(void)nftnl_expr_set_str(out, NFTNL_EXPR_OBJREF_IMM_NAME, expr->name);
}

static void build_verdict(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(out, NFTNL_EXPR_IMM_VERDICT, expr->op);
	if (expr->name)
		(void)nftnl_expr_set_str(out, NFTNL_EXPR_IMM_CHAIN, expr->name);
}

static void build_tproxy(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_TPROXY_FAMILY, expr->op);
	nftnl_expr_set_u32(out, NFTNL_EXPR_TPROXY_REG_ADDR, reg(expr->at));
	nftnl_expr_set_u32(out, NFTNL_EXPR_TPROXY_REG_PORT, reg(expr->at + 4));
}

static void build_socket(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_SOCKET_KEY, expr->key);
	nftnl_expr_set_u32(out, NFTNL_EXPR_SOCKET_DREG, reg(expr->at));
}

static void build_redirect(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_REDIR_REG_PROTO_MIN, reg(expr->at));
}

static void build_reject(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u32(out, NFTNL_EXPR_REJECT_TYPE, expr->key);
	nftnl_expr_set_u8(out, NFTNL_EXPR_REJECT_CODE, (uint8_t)expr->op);
}

static void build_limit(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u64(out, NFTNL_EXPR_LIMIT_RATE, expr->key);
	nftnl_expr_set_u64(out, NFTNL_EXPR_LIMIT_UNIT, 1); /* second */
	nftnl_expr_set_u32(out, NFTNL_EXPR_LIMIT_BURST, expr->op);
	nftnl_expr_set_u32(out, NFTNL_EXPR_LIMIT_TYPE, NFT_LIMIT_PKTS);
}

static void build_log(struct nftnl_expr *out, const struct nft_expr *expr)
{
	nftnl_expr_set_u16(out, NFTNL_EXPR_LOG_GROUP, (uint16_t)expr->key);
	nftnl_expr_set_u32(out, NFTNL_EXPR_LOG_SNAPLEN, expr->length);
	(void)nftnl_expr_set_str(out, NFTNL_EXPR_LOG_PREFIX, expr->name);
}

static const struct {
	const char *name; /* the kernel's */
	void (*build)(struct nftnl_expr *out, const struct nft_expr *expr);
} kinds[NFT_EXPR_KINDS] = {
	[NFT_EXPR_META_LOAD] = {"meta", build_meta},
	[NFT_EXPR_META_SET] = {"meta", build_meta},
	[NFT_EXPR_CT_LOAD] = {"ct", build_ct},
	[NFT_EXPR_CT_SET] = {"ct", build_ct},
	[NFT_EXPR_PAYLOAD_LOAD] = {"payload", build_payload},
	[NFT_EXPR_PAYLOAD_SET] = {"payload", build_payload},
	[NFT_EXPR_EXTHDR_LOAD] = {"exthdr", build_exthdr},
	[NFT_EXPR_OPTION_LOAD] = {"exthdr", build_exthdr},
	[NFT_EXPR_TCP_OPTION_SET] = {"exthdr", build_tcp_option},
	[NFT_EXPR_ROUTE_LOAD] = {"rt", build_route},
	[NFT_EXPR_IMMEDIATE] = {"immediate", build_immediate},
	[NFT_EXPR_BITWISE] = {"bitwise", build_bitwise},
	[NFT_EXPR_TO_NETWORK] = {"byteorder", build_byteorder},
	[NFT_EXPR_COMPARE] = {"cmp", build_compare},
	[NFT_EXPR_LOOKUP] = {"lookup", build_lookup},
	[NFT_EXPR_OBJECT] = {"objref", build_object},
	[NFT_EXPR_VERDICT] = {"immediate", build_verdict},
	[NFT_EXPR_SOCKET_LOAD] = {"socket", build_socket},
	[NFT_EXPR_TPROXY] = {"tproxy", build_tproxy},
	[NFT_EXPR_REDIRECT] = {"redir", build_redirect},
	[NFT_EXPR_REJECT] = {"reject", build_reject},
	[NFT_EXPR_LIMIT] = {"limit", build_limit},
	[NFT_EXPR_LOG] = {"log", build_log},
};

static int add_expressions(struct nftnl_rule *rule, const struct nft_expr *expr)
{
	for (; expr->kind != NFT_EXPR_END; expr++) {
		struct nftnl_expr *out = nftnl_expr_alloc(kinds[expr->kind].name);

		if (!out)
			return -ENOMEM;
		kinds[expr->kind].build(out, expr);
		nftnl_rule_add_expr(rule, out);
	}
	return 0;
}

static int add_comment(struct nftnl_rule *rule, const char *comment)
{
	struct nftnl_udata_buf *data = nftnl_udata_buf_alloc(USER_DATA_ROOM);

	if (!data)
		return -ENOMEM;
	(void)nftnl_udata_put_strz(data, NFTNL_UDATA_RULE_COMMENT, comment);
	(void)nftnl_rule_set_data(rule, NFTNL_RULE_USERDATA, nftnl_udata_buf_data(data),
				  nftnl_udata_buf_len(data));
	nftnl_udata_buf_free(data);
	return 0;
}

void nft_rule_add(const struct nft_table *table, const char *chain, const char *comment,
		  const struct nft_expr *expressions)
{
	struct nlmsghdr *message = nft_batch_message(table->batch, NFT_MSG_NEWRULE, table->family,
						     NLM_F_CREATE | NLM_F_APPEND);
	struct nftnl_rule *rule;
	int error;

	if (!message)
		return;
	rule = nftnl_rule_alloc();
	if (!rule) {
		nft_batch_fail(table->batch, -ENOMEM);
		return;
	}
	nftnl_rule_set_u32(rule, NFTNL_RULE_FAMILY, table->family);
	(void)nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, NFT_TABLE_NAME);
	(void)nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, chain);
	error = add_expressions(rule, expressions);
	if (error == 0 && comment)
		error = add_comment(rule, comment);
	if (error < 0) {
		nft_batch_fail(table->batch, error);
	} else {
		nftnl_rule_nlmsg_build_payload(message, rule);
		nft_batch_add(table->batch, message);
	}
	nftnl_rule_free(rule);
}
