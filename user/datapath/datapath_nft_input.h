/* SPDX-License-Identifier: Apache-2.0 */
/* The input of the rules of the nftables datapath: options, listeners, and parts that the kernel
 * lacks. */
#ifndef SIDESTEP_DATAPATH_NFT_INPUT_H
#define SIDESTEP_DATAPATH_NFT_INPUT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <linux/netfilter.h>

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
	bool redirect;	/* the kernel has no tproxy (datapath_nft_steer.h) */
	bool no_reject; /* the kernel cannot reset connections */
	bool no_log;	/* the kernel cannot send packets to a log group, or not limit their rate */
	bool no_socket; /* the kernel cannot tell whether a socket is transparent */
	/* Seconds for which conntrack remembers a connection from outside that one end has closed;
	 * 0: its own 60. */
	uint32_t half_closed_s;
	const char *gateway; /* for people who list the table */
};

#endif
