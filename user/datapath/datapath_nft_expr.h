/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of nftables, written as lists of the kernel's expressions: load, compare, look up, act. The
 * macros stand for one expression each; nft(8) lists the patterns that it would have made itself.
 */
#ifndef SIDESTEP_DATAPATH_NFT_EXPR_H
#define SIDESTEP_DATAPATH_NFT_EXPR_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "datapath/datapath_nft_table.h"

enum nft_expr_kind {
	NFT_EXPR_END, /* of the rule */
	NFT_EXPR_META_LOAD,
	NFT_EXPR_META_SET,
	NFT_EXPR_CT_LOAD,
	NFT_EXPR_CT_SET,
	NFT_EXPR_PAYLOAD_LOAD,
	NFT_EXPR_PAYLOAD_SET,
	NFT_EXPR_EXTHDR_LOAD,
	NFT_EXPR_OPTION_LOAD,
	NFT_EXPR_TCP_OPTION_SET,
	NFT_EXPR_ROUTE_LOAD,
	NFT_EXPR_IMMEDIATE,
	NFT_EXPR_BITWISE,
	NFT_EXPR_TO_NETWORK,
	NFT_EXPR_COMPARE,
	NFT_EXPR_LOOKUP,
	NFT_EXPR_OBJECT,
	NFT_EXPR_VERDICT,
	NFT_EXPR_SOCKET_LOAD,
	NFT_EXPR_TPROXY,
	NFT_EXPR_REDIRECT,
	NFT_EXPR_REJECT,
	NFT_EXPR_LIMIT,
	NFT_EXPR_LOG,
	NFT_EXPR_KINDS,
};

/* A value in the byte order that the expression wants: packets' and ports' are network order, marks
 * and interfaces host order. */
union nft_value {
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint8_t bytes[16];
};

struct nft_expr {
	enum nft_expr_kind kind;
	/* The first of the 32-bit registers (0..15) that it reads or writes. */
	uint32_t at;
	uint32_t length; /* of @value or what is loaded, bytes */
	/* META, CT, ROUTE, SOCKET: the field; PAYLOAD: the header; EXTHDR, OPTION, TCP_OPTION: its
	 * type; LOOKUP: a set's id; OBJECT: NFT_OBJECT_*; REJECT: its type */
	/* LIMIT: packets a second; LOG: the group */
	uint32_t key;
	uint32_t offset; /* PAYLOAD, EXTHDR, TCP_OPTION: bytes from the header's begin */
	/* enum nft_cmp_ops; VERDICT: NF_* or NFT_GOTO; TPROXY: family; REJECT: code; LIMIT: packets
	 * that are saved up */
	uint32_t op;
	union nft_value value, mask; /* BITWISE: (register & @mask) ^ @value */
	const char *name;	     /* of a set, object or chain; LOG: the prefix */
};

/* Loads into register @at_, or 0. */
#define LOAD_META(key_)                                                                            \
	{                                                                                          \
		.kind = NFT_EXPR_META_LOAD, .key = (key_)                                          \
	}
#define LOAD_CT(key_)                                                                              \
	{                                                                                          \
		.kind = NFT_EXPR_CT_LOAD, .key = (key_)                                            \
	}
#define LOAD_NETWORK_AT(at_, offset_, length_)                                                     \
	{                                                                                          \
		.kind = NFT_EXPR_PAYLOAD_LOAD, .at = (at_), .key = NFT_PAYLOAD_NETWORK_HEADER,     \
		.offset = (offset_), .length = (length_)                                           \
	}
#define LOAD_TRANSPORT_AT(at_, offset_, length_)                                                   \
	{                                                                                          \
		.kind = NFT_EXPR_PAYLOAD_LOAD, .at = (at_), .key = NFT_PAYLOAD_TRANSPORT_HEADER,   \
		.offset = (offset_), .length = (length_)                                           \
	}
#define LOAD_LINK(offset_, length_)                                                                \
	{                                                                                          \
		.kind = NFT_EXPR_PAYLOAD_LOAD, .key = NFT_PAYLOAD_LL_HEADER, .offset = (offset_),  \
		.length = (length_)                                                                \
	}
#define LOAD_NETWORK(offset_, length_)	 LOAD_NETWORK_AT(0, offset_, length_)
#define LOAD_TRANSPORT(offset_, length_) LOAD_TRANSPORT_AT(0, offset_, length_)
/* Of an IPv6 extension header. */
#define LOAD_EXTENSION(header_, offset_, length_)                                                  \
	{                                                                                          \
		.kind = NFT_EXPR_EXTHDR_LOAD, .key = (header_), .offset = (offset_),               \
		.length = (length_)                                                                \
	}
/* The type of an IPv4 option. Without the option the rule ends. */
#define LOAD_OPTION(type_)                                                                         \
	{                                                                                          \
		.kind = NFT_EXPR_OPTION_LOAD, .key = (type_), .length = 1                          \
	}
/* The largest TCP segment that the packet's route carries, 16 bits in host byte order. */
#define LOAD_ROUTE_MSS                                                                             \
	{                                                                                          \
		.kind = NFT_EXPR_ROUTE_LOAD, .key = NFT_RT_TCPMSS                                  \
	}
/* 1 where the socket that will get the packet is transparent (IP_TRANSPARENT), else 0. Without a
 * socket the rule ends. */
#define LOAD_TRANSPARENT                                                                           \
	{                                                                                          \
		.kind = NFT_EXPR_SOCKET_LOAD, .key = NFT_SOCKET_TRANSPARENT                        \
	}
#define LOAD_VALUE_AT(at_, member_, value_)                                                        \
	{                                                                                          \
		.kind = NFT_EXPR_IMMEDIATE, .at = (at_),                                           \
		.length = sizeof(((union nft_value *)0)->member_), .value.member_ = (value_)       \
	}

#define LOAD_VALUE(member_, value_) LOAD_VALUE_AT(0, member_, value_)

/* Compares register 0 with a value of the width of @member_. A mismatch ends the rule. */
#define COMPARE(op_, member_, value_)                                                              \
	{                                                                                          \
		.kind = NFT_EXPR_COMPARE, .op = (op_),                                             \
		.length = sizeof(((union nft_value *)0)->member_), .value.member_ = (value_)       \
	}
#define EQUAL(member_, value_)	 COMPARE(NFT_CMP_EQ, member_, value_)
#define UNEQUAL(member_, value_) COMPARE(NFT_CMP_NEQ, member_, value_)

/* Register 0 becomes (register & mask) ^ value. */
#define MASK_XOR(member_, mask_, value_)                                                           \
	{                                                                                          \
		.kind = NFT_EXPR_BITWISE, .length = sizeof(((union nft_value *)0)->member_),       \
		.mask.member_ = (mask_), .value.member_ = (value_)                                 \
	}
#define MASK(member_, mask_) MASK_XOR(member_, mask_, 0)

/* From host to network byte order. */
#define TO_NETWORK(member_)                                                                        \
	{                                                                                          \
		.kind = NFT_EXPR_TO_NETWORK, .length = sizeof(((union nft_value *)0)->member_)     \
	}

/* The key that begins in register 0 is in the set. */
#define IN_SET(name_)                                                                              \
	{                                                                                          \
		.kind = NFT_EXPR_LOOKUP, .name = (name_)                                           \
	}
/* The same for an anonymous set of this batch. */
#define IN_ANONYMOUS_SET(id_)                                                                      \
	{                                                                                          \
		.kind = NFT_EXPR_LOOKUP, .name = NFT_ANONYMOUS_SET, .key = (id_)                   \
	}

/* Writes register 0. */
#define SET_META(key_)                                                                             \
	{                                                                                          \
		.kind = NFT_EXPR_META_SET, .key = (key_)                                           \
	}
#define SET_CT(key_)                                                                               \
	{                                                                                          \
		.kind = NFT_EXPR_CT_SET, .key = (key_)                                             \
	}
/* Into the network header, without its checksum. */
#define SET_NETWORK(offset_, length_)                                                              \
	{                                                                                          \
		.kind = NFT_EXPR_PAYLOAD_SET, .key = NFT_PAYLOAD_NETWORK_HEADER,                   \
		.offset = (offset_), .length = (length_)                                           \
	}
/* Into the UDP header, whose checksum follows. */
#define SET_UDP(offset_, length_)                                                                  \
	{                                                                                          \
		.kind = NFT_EXPR_PAYLOAD_SET, .key = NFT_PAYLOAD_TRANSPORT_HEADER,                 \
		.offset = (offset_), .length = (length_)                                           \
	}
/* Into the option of a TCP header that announces the largest segment (RFC 9293 section 3.7.1). The
 * kernel only ever makes it smaller, and the checksum follows. */
#define SET_MSS                                                                                    \
	{                                                                                          \
		.kind = NFT_EXPR_TCP_OPTION_SET, .key = TCPOPT_MAXSEG, .offset = 2, .length = 2    \
	}

#define COUNT(name_)                                                                               \
	{                                                                                          \
		.kind = NFT_EXPR_OBJECT, .key = NFT_OBJECT_COUNTER, .name = #name_                 \
	}
/* How long conntrack remembers the connection, of which this is the first packet. */
#define SET_TIMEOUTS(name_)                                                                        \
	{                                                                                          \
		.kind = NFT_EXPR_OBJECT, .key = NFT_OBJECT_CT_TIMEOUT, .name = (name_)             \
	}
#define ACCEPT                                                                                     \
	{                                                                                          \
		.kind = NFT_EXPR_VERDICT, .op = NF_ACCEPT                                          \
	}
#define DROP                                                                                       \
	{                                                                                          \
		.kind = NFT_EXPR_VERDICT, .op = NF_DROP                                            \
	}
#define GOTO(chain_)                                                                               \
	{                                                                                          \
		.kind = NFT_EXPR_VERDICT, .op = (uint32_t)NFT_GOTO, .name = (chain_)               \
	}

/* To the socket at the address that begins in register 0 and the port in register 4. */
#define TPROXY(family_)                                                                            \
	{                                                                                          \
		.kind = NFT_EXPR_TPROXY, .op = (family_)                                           \
	}
/* To the listener at a loopback address and the port in register 0. */
#define REDIRECT                                                                                   \
	{                                                                                          \
		.kind = NFT_EXPR_REDIRECT                                                          \
	}
#define RESET                                                                                      \
	{                                                                                          \
		.kind = NFT_EXPR_REJECT, .key = NFT_REJECT_TCP_RST                                 \
	}
/* Refuses with an ICMP error that a policy's router sends (Linux 5.9 for incoming packets). */
#define PROHIBIT                                                                                   \
	{                                                                                          \
		.kind = NFT_EXPR_REJECT, .key = NFT_REJECT_ICMPX_UNREACH,                          \
		.op = NFT_REJECT_ICMPX_ADMIN_PROHIBITED                                            \
	}

/* Above the rate the rule ends. */
#define LIMIT(per_second_, saved_)                                                                 \
	{                                                                                          \
		.kind = NFT_EXPR_LIMIT, .key = (per_second_), .op = (saved_)                       \
	}
/* Sends the first @length_ bytes to a group of nfnetlink_log. */
#define LOG(group_, length_, prefix_)                                                              \
	{                                                                                          \
		.kind = NFT_EXPR_LOG, .key = (group_), .length = (length_), .name = (prefix_)      \
	}

/* Name of sets that only one rule uses, which the kernel numbers. */
#define NFT_ANONYMOUS_SET "__set%d"

/* Appends a rule to a chain. @expressions ends with NFT_EXPR_END; @comment: NULL: none. */
void nft_rule_add(const struct nft_table *table, const char *chain, const char *comment,
		  const struct nft_expr *expressions);

/* A rule of a chain, with and without a comment. @table is the function's. */
#define COMMENTED_RULE(chain, comment, ...)                                                        \
	nft_rule_add(table, chain, comment, (const struct nft_expr[]) {__VA_ARGS__, {0}})
#define RULE(chain, ...) COMMENTED_RULE(chain, NULL, __VA_ARGS__)

#endif
