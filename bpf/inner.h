/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Brings the packets of containers inside an intercepted container to the proxy, and the proxy's
 * answers to them. In sidecar mode bridge_ingress and bridge_egress run on the devices that lead to
 * such containers (user/steering/plan_inner.h).
 */
#ifndef SIDESTEP_INNER_H
#define SIDESTEP_INNER_H

#include "judge.h"
#include "listener.h"
#include "maps.h"
#include "owner.h"
#include "packet.h"
#include "refuse.h"

/* Rewrites the source port of a DNS answer. The proxy sends it from its listener's port, but the
 * client expects the resolver's. */
static __always_inline int answer_from_dns_port(struct __sk_buff *skb, const struct packet *packet)
{
	__be16 old = bpf_htons(packet->source_port), new = bpf_htons(SIDESTEP_DNS_PORT);

	if (bpf_l4_csum_replace(skb, packet->transport + UDP_CHECKSUM_OFFSET, old, new,
				BPF_F_MARK_MANGLED_0 | sizeof(new)) < 0 ||
	    bpf_skb_store_bytes(skb, packet->transport, &new, sizeof(new), 0) < 0)
		return -1;
	return 0;
}

/* Is it a SYN for which nobody listens? One with IP options goes unanswered. */
static __noinline int syn_unserved(struct __sk_buff *skb, __u32 netns)
{
	struct plain_transport plain;
	struct address_pair pair;

	return packet_plain(skb, &pair, ETHERNET_SIZE) &&
	       packet_plain_transport(skb, pair.ipv4, &plain, ETHERNET_SIZE) &&
	       plain.protocol == IPPROTO_TCP && plain.opening &&
	       nobody_listens(netns, pair.ipv4 ? SIDESTEP_LISTENER_TCP4 : SIDESTEP_LISTENER_TCP6);
}

/*
 * Hands a container's packet to lo as if it had been sent there, so that routes and
 * `steer` take it like the application's own. lo's Ethernet address is all zero, and others are not
 * for this host. Returns the program's result.
 */
static __noinline int hand_to_lo(struct __sk_buff *skb, __u32 netns)
{
	__u8 address[6];

	if (syn_unserved(skb, netns))
		return packet_read(skb) == PACKET_IP ? refuse_syn(skb, netns, AT_BRIDGE)
						     : TC_ACT_SHOT;
	__builtin_memset(address, 0, sizeof(address));
	if (bpf_skb_store_bytes(skb, 0, address, sizeof(address), 0) < 0)
		return TC_ACT_SHOT;
	return (int)bpf_redirect(LOOPBACK_IFINDEX, BPF_F_INGRESS);
}

/* Rewrites the port of the proxy's DNS answers to a container. Returns the program's result. */
static __noinline int leave_as_answer(struct __sk_buff *skb)
{
	const struct packet *packet = packet_scratch(PACKET_FRAME);

	if (owner_of_sender(skb) != SIDESTEP_OWNER_ANSWERS)
		return TC_NEXT;
	if (!packet || packet_read(skb) != PACKET_IP)
		return TC_ACT_SHOT;
	if (!packet->later_fragment && answer_from_dns_port(skb, packet) < 0)
		return TC_ACT_SHOT;
	return TC_NEXT;
}

#endif
