/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two tables of the nftables datapath: one judges the packets of this network namespace, the
 * other one guards its devices against packet sockets.
 *
 * The decision is that of bpf/decide.h, in its order. Counters have the names of its verdicts, in
 * capitals, since some are words of nft(8).
 */
#ifndef SIDESTEP_DATAPATH_NFT_RULES_H
#define SIDESTEP_DATAPATH_NFT_RULES_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/netfilter.h>

#include "datapath/datapath_nft_table.h"
#include "sidestep.h"

/* Families of the tables (NFPROTO_*): the judging one and the guard of devices. */
#define NFT_JUDGE_FAMILY NFPROTO_INET
#define NFT_GUARD_FAMILY NFPROTO_NETDEV

/* Bits of conntrack's mark. Marks of packets do not outlive them. */
#define NFT_CT_INBOUND 0x40000000u /* came from outside */
#define NFT_CT_OWN     0x20000000u /* opened by the proxy */

struct nft_rules {
	uint16_t listeners[SIDESTEP_LISTENERS]; /* ports, host byte order; 0: refuse */
	uint32_t out_mark; /* packets that may leave; the routing rule's (plan.h) */
	uint32_t own_mark; /* secret: on the proxy's sockets, next to their port */
	enum sidestep_udp udp;
	/* Seconds for which conntrack remembers a connection from outside that one end has closed;
	 * 0: its own 60. */
	uint32_t half_closed_s;
	const char *gateway; /* for people who list the table */
};

/* Adds the judging table without elements, in place of one that is there. */
void nft_rules_add(struct nft_batch *batch, const struct nft_rules *rules);

/* Adds the guard of devices by these names without elements, in place of one that is there. Without
 * devices there is no guard. */
void nft_rules_add_guard(struct nft_batch *batch, const char (*names)[IFNAMSIZ], size_t count);

#endif
