/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions of nftables' rules as lists of expressions: families, addresses, ports, flags,
 * conntrack's view, marks and devices. Each load goes into register 0 unless its name says another.
 */
#ifndef SIDESTEP_DATAPATH_NFT_MATCH_H
#define SIDESTEP_DATAPATH_NFT_MATCH_H

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>

#include "datapath/datapath_nft_expr.h"
#include "sidestep.h"

/* Bits of conntrack's states, in host byte order (include/net/netfilter/nf_conntrack.h). */
#define CT_INVALID     1u
#define CT_STATE(info) (1u << ((info) + 1))
#define CT_ESTABLISHED CT_STATE(IP_CT_ESTABLISHED)
#define CT_RELATED     CT_STATE(IP_CT_RELATED)
#define CT_NEW	       CT_STATE(IP_CT_NEW)

/* Families in a table of family inet, and in one of family netdev. */
#define IPV4 LOAD_META(NFT_META_NFPROTO), EQUAL(u8, NFPROTO_IPV4)
#define IPV6 LOAD_META(NFT_META_NFPROTO), EQUAL(u8, NFPROTO_IPV6)
/* The receiver goes by the ethertype in the frame, and the sender's socket says the other. */
#define FRAME(ethertype)                                                                           \
	LOAD_META(NFT_META_PROTOCOL), EQUAL(u16, htons(ethertype)), LOAD_LINK(12, 2),              \
		EQUAL(u16, htons(ethertype))
#define ARP_FRAME  FRAME(ETHERTYPE_ARP)
#define IPV4_FRAME FRAME(ETHERTYPE_IP)
#define IPV6_FRAME FRAME(ETHERTYPE_IPV6)

/* An IPv4 header without options, one with some, and the protocol behind it. */
#define IPV4_PLAIN		LOAD_NETWORK(0, 1), EQUAL(u8, 0x45)
#define IPV4_LONG		LOAD_NETWORK(0, 1), MASK(u8, 0x0f), UNEQUAL(u8, 5)
#define IPV4_PROTOCOL(protocol) LOAD_NETWORK(9, 1), EQUAL(u8, protocol)
/* The destination in the header is only the first host on the way. */
#define LOOSE_ROUTE	      LOAD_OPTION(IPOPT_LSRR), EQUAL(u8, IPOPT_LSRR)
#define STRICT_ROUTE	      LOAD_OPTION(IPOPT_SSRR), EQUAL(u8, IPOPT_SSRR)
#define SEGMENTS_LEFT	      LOAD_EXTENSION(IPPROTO_ROUTING, 3, 1), UNEQUAL(u8, 0)
#define NEXT_HEADER(protocol) LOAD_NETWORK(6, 1), EQUAL(u8, protocol)

/* Addresses that are in a set. The family has been compared before. */
#define FROM4(set)     LOAD_NETWORK(12, 4), IN_SET(set)
#define TO4(set)       LOAD_NETWORK(16, 4), IN_SET(set)
#define FROM_LOOPBACK4 LOAD_NETWORK(12, 4), EQUAL(u32, htonl(INADDR_LOOPBACK))
#define FROM_LOOPBACK6                                                                             \
	LOAD_NETWORK(8, 16)                                                                        \
	,                                                                                          \
	{                                                                                          \
		.kind = NFT_EXPR_COMPARE, .op = NFT_CMP_EQ, .length = 16, .value.bytes[15] = 1     \
	}
#define FROM6(set) LOAD_NETWORK(8, 16), IN_SET(set)
#define TO6(set)   LOAD_NETWORK(24, 16), IN_SET(set)

/* Transport protocols and their headers' fields. */
#define PROTOCOL(number)     LOAD_META(NFT_META_L4PROTO), EQUAL(u8, number)
#define NOT_PROTOCOL(number) LOAD_META(NFT_META_L4PROTO), UNEQUAL(u8, number)
#define TCP		     PROTOCOL(IPPROTO_TCP)
#define UDP		     PROTOCOL(IPPROTO_UDP)
#define SOURCE_PORT	     LOAD_TRANSPORT(0, 2)
#define DESTINATION_PORT     LOAD_TRANSPORT(2, 2)
#define PORT_IS(port)	     EQUAL(u16, htons(port))
#define PORT_IS_NOT(port)    UNEQUAL(u16, htons(port))
#define ICMP_TYPE(type)	     LOAD_TRANSPORT(0, 1), EQUAL(u8, type)
#define TCP_FLAGS(mask)	     LOAD_TRANSPORT(13, 1), MASK(u8, mask)

/* The first packet of a TCP connection, any other one, the first of either side, and a SYN without
 * anything else. */
#define OPENING	    TCP_FLAGS(TH_SYN | TH_ACK), EQUAL(u8, TH_SYN)
#define NOT_OPENING TCP_FLAGS(TH_SYN | TH_ACK), UNEQUAL(u8, TH_SYN)
#define ANY_SYN	    TCP_FLAGS(TH_SYN), UNEQUAL(u8, 0)
#define BARE_SYN    TCP_FLAGS(TH_FIN | TH_SYN | TH_RST | TH_ACK), EQUAL(u8, TH_SYN)

/* Conntrack's view of the packet's connection. */
#define MARKED(bit)	     LOAD_CT(NFT_CT_MARK), MASK(u32, bit), UNEQUAL(u32, 0)
#define MARK_ADD(bit)	     LOAD_CT(NFT_CT_MARK), MASK_XOR(u32, ~(bit), bit), SET_CT(NFT_CT_MARK)
#define MARK_REMOVE(bit)     LOAD_CT(NFT_CT_MARK), MASK(u32, ~(bit)), SET_CT(NFT_CT_MARK)
#define DIRECTION(direction) LOAD_CT(NFT_CT_DIRECTION), EQUAL(u8, direction)
#define REDIRECTED	     LOAD_CT(NFT_CT_STATUS), MASK(u32, IPS_DST_NAT), UNEQUAL(u32, 0)
#define STATE(bit)	     LOAD_CT(NFT_CT_STATE), MASK(u32, bit), UNEQUAL(u32, 0)
#define NOT_STATE(bit)	     LOAD_CT(NFT_CT_STATE), MASK(u32, bit), EQUAL(u32, 0)

/* Devices and the packet's mark. */
#define OUT_OF_LO	   LOAD_META(NFT_META_OIF), EQUAL(u32, LOOPBACK_IFINDEX)
#define NOT_INTO_LO	   LOAD_META(NFT_META_IIF), UNEQUAL(u32, LOOPBACK_IFINDEX)
#define NOT_TRANSPARENT	   LOAD_TRANSPARENT, EQUAL(u8, 0)
#define FROM_INNER	   LOAD_META(NFT_META_IIF), IN_SET("inner")
#define TO_INNER	   LOAD_META(NFT_META_OIF), IN_SET("inner")
#define HAS_MARK(mark)	   LOAD_META(NFT_META_MARK), EQUAL(u32, mark)
#define HAS_NOT_MARK(mark) LOAD_META(NFT_META_MARK), UNEQUAL(u32, mark)
#define SET_MARK(mark)	   LOAD_VALUE(u32, mark), SET_META(NFT_META_MARK)

/* Rules for DNS to bypassed subnets while the internet is off. */
#define EXCEPTED_DNS(chain, ipv4, ipv6, ...)                                                       \
	do {                                                                                       \
		RULE(chain, UDP, DESTINATION_PORT, PORT_IS(53), ipv4, TO4("except4"),              \
		     __VA_ARGS__);                                                                 \
		RULE(chain, UDP, DESTINATION_PORT, PORT_IS(53), ipv6, TO6("except6"),              \
		     __VA_ARGS__);                                                                 \
		RULE(chain, TCP, DESTINATION_PORT, PORT_IS(53), ipv4, TO4("except4"),              \
		     __VA_ARGS__);                                                                 \
		RULE(chain, TCP, DESTINATION_PORT, PORT_IS(53), ipv6, TO6("except6"),              \
		     __VA_ARGS__);                                                                 \
	} while (0)

/* Loopback addresses, into register 0 and behind it. */
#define LOAD_LOOPBACK4 LOAD_VALUE(u32, htonl(INADDR_LOOPBACK))
#define LOAD_LOOPBACK6                                                                             \
	{                                                                                          \
		.kind = NFT_EXPR_IMMEDIATE, .length = 16, .value.bytes[15] = 1                     \
	}

#endif
