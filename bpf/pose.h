/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Recognises frames of a container that poses as the host. They claim an address of the host's by
 * ARP (RFC 826), by neighbour discovery (RFC 4861), or as their source. A neighbour would then take
 * the container for the host, for example at its control API.
 */
#ifndef SIDESTEP_POSE_H
#define SIDESTEP_POSE_H

#include "bypass.h"
#include "packet.h"

#define ARP_SENDER_OFFSET (ETHERNET_SIZE + 14) /* ar_sip of IPv4 over Ethernet */
#define ND_TARGET_OFFSET  8		       /* from the ICMPv6 header */

#define ICMPV6_ROUTER_ADVERTISEMENT    134
#define ICMPV6_NEIGHBOUR_ADVERTISEMENT 136
#define ICMPV6_REDIRECT		       137

static __always_inline int is_of_host(const struct sidestep_bypass *bypass)
{
	return (bypass_sources(bypass) & SIDESTEP_FROM_HOST) != 0;
}

/* The packet that packet_read() parsed: no container is a router, nor has the host's address. */
static __always_inline int pose_by_discovery(struct __sk_buff *skb, __u32 netns,
					     const struct packet *packet)
{
	__u8 target[16];

	switch (packet->icmp_type) {
	case ICMPV6_ROUTER_ADVERTISEMENT:
	case ICMPV6_REDIRECT:
		return 1;
	case ICMPV6_NEIGHBOUR_ADVERTISEMENT:
		return packet_load(skb, packet->transport + ND_TARGET_OFFSET, target,
				   sizeof(target)) < 0 ||
		       is_of_host(bypass_lookup6(netns, target));
	}
	return 0;
}

/* Does the frame pose as the host? It is called for ARP and for packets that stay on the link or
 * the bridge. An unreadable one counts as such. */
static __noinline int poses_as_host(struct __sk_buff *skb, __u32 netns)
{
	const struct packet *packet;
	__be32 sender;

	if (skb->protocol == bpf_htons(ETHERTYPE_ARP))
		return packet_load(skb, ARP_SENDER_OFFSET, &sender, sizeof(sender)) < 0 ||
		       is_of_host(bypass_lookup4(netns, sender));
	if (packet_read(skb) != PACKET_IP)
		return 1;
	packet = packet_scratch(PACKET_FRAME);
	if (!packet || is_of_host(bypass_lookup(netns, packet, packet->source)))
		return 1;
	return !packet->ipv4 && packet->protocol == IPPROTO_ICMPV6 &&
	       pose_by_discovery(skb, netns, packet);
}

/* Must poses_as_host() look at a packet between bypassed subnets? Its source was compared already,
 * and IPv6 without extension headers shows its protocol at a fixed place. */
static __always_inline int may_pose(struct __sk_buff *skb)
{
	__u8 protocol;

	if (skb->protocol != bpf_htons(ETHERTYPE_IPV6))
		return 0;
	if (packet_load(skb, ETHERNET_SIZE + offsetof(struct ipv6hdr, nexthdr), &protocol,
			sizeof(protocol)) < 0)
		return 1;
	return protocol == IPPROTO_ICMPV6 || is_extension(protocol);
}

#endif
