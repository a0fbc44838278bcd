/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Gives the verdict on an outgoing frame: collects what sidestep_decide() has to know. */
#ifndef SIDESTEP_JUDGE_H
#define SIDESTEP_JUDGE_H

#include "bypass.h"
#include "checksum.h"
#include "decide.h"
#include "forget.h"
#include "fragment.h"
#include "inbound.h"
#include "listener.h"
#include "maps.h"
#include "owner.h"
#include "packet.h"
#include "recall.h"

/* The program that asks for a verdict. */
enum judge_place {
	AT_LO,	   /* steers packets that sockets of this namespace sent */
	AT_DEVICE, /* the guard: drops the packets that should have been steered */
	AT_BRIDGE, /* steers packets that containers sent */
	AT_HOST,   /* the outer guard, at the host's end of a container's veth */
};

/* Is it the outer guard? Only the agent's programs have one, and others are loaded faster without.
 */
static __always_inline int at_host(__u32 place)
{
#ifdef SIDESTEP_SHARED
	return place == AT_HOST;
#else
	(void)place;
	return 0;
#endif
}

/* The owner of the socket that sends @skb, as far as @place may believe it. */
static __always_inline __u32 owner_at(struct __sk_buff *skb, __u32 place, __u8 protocol,
				      const void *destination, __u16 destination_port)
{
	if (place == AT_BRIDGE)
		return SIDESTEP_OWNER_NONE;
#ifdef SIDESTEP_SHARED
	if (at_host(place))
		return owner_seen_outside(skb, protocol, destination, destination_port);
#else
	(void)protocol;
	(void)destination;
	(void)destination_port;
#endif
	return owner_of_sender(skb);
}

/* The bypass of a packet's source. Outside, a container has no address of the host's. */
static __always_inline __u32 source_at(__u32 place, __u32 sources)
{
	return at_host(place) && (sources & SIDESTEP_FROM_HOST) ? 0 : sources;
}

/* Has the outer guard remember by the socket that it replies there, even if the LRU map drops the
 * flow. */
static __always_inline void mark_replied(struct __sk_buff *skb, const __u64 destination[2],
					 __u16 destination_port)
{
#ifdef SIDESTEP_SHARED
	owner_set_replied(skb, destination, destination_port);
#else
	(void)skb;
	(void)destination;
	(void)destination_port;
#endif
}

/*
 * Marks the socket of a TCP packet that replies, which then remembers even if the LRU map drops the
 * flow. A socket that was accepted, disconnected (connect(2) with AF_UNSPEC) and connects again
 * loses the mark.
 */
static __always_inline void mark_sender(struct __sk_buff *skb, const struct decision_input *in)
{
	if (in->protocol != IPPROTO_TCP)
		return;
	if (in->inbound)
		owner_set_sender(skb, SIDESTEP_OWNER_INBOUND);
	else if (in->opening && in->owner == SIDESTEP_OWNER_INBOUND)
		owner_set_sender(skb, SIDESTEP_OWNER_NONE);
}

/* The namespace's policy for UDP: enum sidestep_udp. */
static __always_inline __u32 udp_policy(__u32 netns)
{
	const struct sidestep_namespace *namespace = bpf_map_lookup_elem(&namespaces, &netns);

	return namespace ? namespace->udp_pass : SIDESTEP_UDP_DENY;
}

/* Does UDP pass? The programs outlive a killed sidecar, and --udp pass does not. */
static __always_inline int udp_passes(__u32 netns)
{
	return udp_policy(netns) == SIDESTEP_UDP_PASS &&
	       !nobody_listens(netns & ~(__u32)SIDESTEP_OUTER, SIDESTEP_LISTENER_TCP4);
}

/* Has the verifier forget by which branches the facts that all packets have were found. */
static __always_inline void facts_forget(struct decision_input *in, __u64 unknown)
{
	in->owner = forget(in->owner, unknown);
	in->source_bypass = forget(in->source_bypass, unknown);
	in->destination_bypass = forget(in->destination_bypass, unknown);
}

/* The verdict on the outgoing frame that packet_read() parsed. Expensive lookups are made only when
 * they are needed. @place: enum judge_place. */
__noinline int judge(struct __sk_buff *skb, __u32 netns, __u32 place)
{
	struct packet *packet = packet_scratch(PACKET_FRAME);
	struct decision_input in = {};
	__u32 verdict;

	if (!packet)
		return SIDESTEP_DENY_MALFORMED;
	in.owner = owner_at(skb, place, packet->protocol, packet->destination,
			    packet->destination_port);
	in.destination_bypass = bypass_sources(bypass_lookup(netns, packet, packet->destination));
	in.destination_port = packet->destination_port;
	in.protocol = packet->protocol;
	in.later_fragment = packet->later_fragment;
	if (in.later_fragment)
		in.first_verdict = fragment_known(netns, packet);
	in.opening = packet->opening;
	if (in.destination_bypass) {
		if (!(in.destination_bypass & (SIDESTEP_FROM_LOCAL | SIDESTEP_FROM_BUILTIN)))
			in.source_bypass = source_at(place,
						     bypass_sources(bypass_lookup(netns, packet,
										  packet->source)));
	} else {
		if (!in.opening && in.owner == SIDESTEP_OWNER_NONE)
			in.inbound = inbound_known(skb, netns) != 0;
		if (in.protocol == IPPROTO_UDP)
			in.udp_pass = udp_passes(netns);
	}
	if (place != AT_BRIDGE && !at_host(place))
		mark_sender(skb, &in);
	facts_forget(&in, skb->len);
	in.inbound = (__u8)forget(in.inbound, skb->len);
	in.opening = (__u8)forget(in.opening, skb->len);
	in.udp_pass = (__u8)forget(in.udp_pass, skb->len);
	verdict = forget(sidestep_decide(&in), skb->len);
	if (packet->first_fragment && place != AT_DEVICE &&
	    (verdict == SIDESTEP_REPLY || verdict == SIDESTEP_OWN || verdict == SIDESTEP_PASS_UDP))
		fragment_remember(netns, packet, verdict);
	if (verdict == SIDESTEP_STEER_TCP && in.opening && place != AT_DEVICE &&
	    inbound_forget(flow_outward(netns, packet)) < 0)
		return SIDESTEP_ASSIGN_ERRORS;
	return (int)verdict;
}

/* The answer of judge_plain() when it cannot decide. */
#define ASK_FURTHER SIDESTEP_VERDICTS

/*
 * The verdict on most outgoing packets, at little cost; judge() would give the same. Returns
 * ASK_FURTHER where neither the addresses nor a plain TCP header suffice, and for the first reply
 * that a socket sends. A guard also does so where the map `inbound` decides. @link: as in plain.h.
 */
static __always_inline __u32 judge_plain(struct __sk_buff *skb, __u32 netns, enum judge_place place,
					 __u32 link)
{
	struct decision_input in = {};
	const struct recalled *known;
	struct plain_transport plain;
	struct address_pair pair;

	if (!packet_plain(skb, &pair, link))
		return ASK_FURTHER;
	known = recall(&pair, netns);
	if (!known)
		return ASK_FURTHER;
	in.source_bypass = source_at(place, known->source_bypass);
	in.destination_bypass = known->destination_bypass;
	if (sidestep_addresses_decide(&in))
		return sidestep_decide(&in);
	if (!packet_plain_transport(skb, pair.ipv4, &plain, link) || plain.fragment)
		return ASK_FURTHER;
	/* The internet is off, but this is no DNS. */
	if (plain.destination_port != SIDESTEP_DNS_PORT) {
		in.destination_bypass &= ~(__u32)SIDESTEP_EXCEPT_DNS;
		if (sidestep_addresses_decide(&in))
			return sidestep_decide(&in);
	}
	if (plain.protocol != IPPROTO_TCP)
		return ASK_FURTHER;
	in.owner = owner_at(skb, place, plain.protocol, pair.destination, plain.destination_port);
	if (in.owner == SIDESTEP_OWNER_NONE) {
		if (at_host(place) && !plain.opening) {
			in.inbound = inbound_known_plain(netns, &pair, &plain) != 0;
			if (in.inbound)
				mark_replied(skb, pair.destination, plain.destination_port);
		} else if (at_host(place) ||
			   (place == AT_DEVICE ? !plain.opening
					       : inbound_known_plain(netns, &pair, &plain))) {
			/* judge() also marks the socket that replies. Outside, it forgets the flow
			 * of a SYN. */
			return ASK_FURTHER;
		}
	} else if (in.owner == SIDESTEP_OWNER_INBOUND && plain.opening) {
		return ASK_FURTHER;
	}
	/* The SYN is refused. */
	if (place == AT_LO && plain.opening &&
	    nobody_listens(netns, pair.ipv4 ? SIDESTEP_LISTENER_TCP4 : SIDESTEP_LISTENER_TCP6))
		return ASK_FURTHER;
	in.protocol = IPPROTO_TCP;
	in.opening = plain.opening;
	in.destination_port = plain.destination_port;
	facts_forget(&in, skb->len);
	return sidestep_decide(&in);
}

/* The verdict on a frame that packet_read() took for one of this kind. */
static __always_inline __u32 judge_kind(struct __sk_buff *skb, int kind, __u32 netns,
					enum judge_place place)
{
	switch (kind) {
	case PACKET_IP:
		return (__u32)judge(skb, netns, place);
	case PACKET_ARP:
		return SIDESTEP_LINK;
	case PACKET_OTHER:
		return SIDESTEP_DENY_PROTOCOL;
	default:
		return SIDESTEP_DENY_MALFORMED;
	}
}

/*
 * The verdict on any outgoing frame of a device. At a bridge, a tag beside the frame leads to a
 * network that is not intercepted. At a device, it was a VLAN device of this namespace that set the
 * tag, and the guard there has judged the frame already.
 */
static __always_inline __u32 judge_frame(struct __sk_buff *skb, __u32 netns, enum judge_place place)
{
	__u32 verdict;

	/* Behind these two places nobody else of ours looks at the frame. */
	if (place == AT_BRIDGE || at_host(place)) {
		if (skb->vlan_present)
			return SIDESTEP_DENY_PROTOCOL;
		if (checksum_may_change(skb) && checksum_changes(skb))
			return SIDESTEP_DENY_MALFORMED;
	}
	/* Without it, the compiler keeps addresses of the context's fields, which the verifier
	 * rejects. */
	barrier_var(skb);
	verdict = forget(judge_plain(skb, netns, place, ETHERNET_SIZE), skb->len);
	return verdict == ASK_FURTHER ? judge_kind(skb, packet_read(skb), netns, place) : verdict;
}

/* Does likewise for an L3 device. */
static __always_inline __u32 judge_l3(struct __sk_buff *skb, __u32 netns)
{
	__u32 verdict = forget(judge_plain(skb, netns, AT_DEVICE, 0), skb->len);

	return verdict == ASK_FURTHER ? judge_kind(skb, packet_read_l3(skb), netns, AT_DEVICE)
				      : verdict;
}

#endif
