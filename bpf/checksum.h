/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Finds frames whose IPv6 header a network card will change. A sender with PACKET_VNET_HDR or
 * AF_XDP leaves a checksum to the card and says where it belongs (skb->csum_start, csum_offset),
 * perhaps to the destination. It is written behind all verdicts. IPv4 has a checksum of its own,
 * which would be wrong then.
 */
#ifndef SIDESTEP_CHECKSUM_H
#define SIDESTEP_CHECKSUM_H

#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"
#include "packet.h"

/* Any two bytes of the frame that are not IP's. */
#define PROBE_OFFSET 6

/* Sockets of IP leave only their own checksums to the card. */
static __always_inline int checksum_may_change(struct __sk_buff *skb)
{
	const struct bpf_sock *sk = skb->sk;

	if (skb->protocol != bpf_htons(ETHERTYPE_IPV6))
		return 0;
	return !sk || (sk->family != AF_INET && sk->family != AF_INET6);
}

/*
 * No field of the context shows it, but two helpers depend on it. bpf_l4_csum_replace() leaves a
 * sum alone that the card is going to write. bpf_skb_change_tail() never cuts such a sum off, so it
 * succeeds only if the sum is in front of the cut. The frame is damaged then, and must be dropped.
 */
static __noinline int checksum_changes(struct __sk_buff *skb)
{
	__u16 before, after;

	if (bpf_skb_load_bytes(skb, PROBE_OFFSET, &before, sizeof(before)) < 0 ||
	    bpf_l4_csum_replace(skb, PROBE_OFFSET, 0, 1, sizeof(before)) < 0 ||
	    bpf_skb_load_bytes(skb, PROBE_OFFSET, &after, sizeof(after)) < 0)
		return 1;
	if (after != before)
		return bpf_skb_store_bytes(skb, PROBE_OFFSET, &before, sizeof(before), 0) < 0;
	return bpf_skb_change_tail(skb, ETHERNET_SIZE + sizeof(struct ipv6hdr) + 1, 0) == 0;
}

#endif
