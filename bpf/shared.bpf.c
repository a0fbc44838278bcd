// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Compiles the programs of sidestep.bpf.c for the agent, where one load serves any number of
 * namespaces. A constant does not switch between the two: without CAP_PERFMON the verifier would
 * follow both branches. The outer guard is the agent's alone.
 *
 * The outer guard stands at the host's end of each veth that leads into a served namespace. Nothing
 * in that namespace reaches it, whatever rights it has. A packet keeps its socket on its way
 * through a veth (skb_scrub_packet(), net/core/skbuff.c), and so the proxy's mark.
 *   - host_ingress (TC, ingress of the host's end) drops what did not pass the namespace's own
 *     programs, and what passed them by facts that an application with rights can make.
 *   - host_egress (TC, egress of the host's end) records inbound flows for it.
 */
#define SIDESTEP_SHARED
#include "pose.h"
#include "sidestep.bpf.c"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, SIDESTEP_MAX_NAMESPACES * 4);
	__type(key, __u32);
	__type(value, struct sidestep_outer);
} outer SEC(".maps");

/* Returns the number that the guard's map entries have, or 0: the device is not known. */
static __always_inline __u32 outer_number(const struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	const struct sidestep_outer *end = bpf_map_lookup_elem(&outer, &ifindex);

	return end ? end->netns : 0;
}

SEC("tc")
int host_ingress(struct __sk_buff *skb)
{
	__u32 number = outer_number(skb), verdict;

	verdict = judge_frame(skb, number, AT_HOST);
	if ((verdict == SIDESTEP_LINK || (verdict == SIDESTEP_BRIDGE && may_pose(skb))) &&
	    poses_as_host(skb, number))
		verdict = SIDESTEP_SPOOFED;
	switch (verdict) {
	case SIDESTEP_BRIDGE:
		COUNT_INLINE(number, SIDESTEP_BRIDGE);
		return TC_NEXT;
	case SIDESTEP_REPLY:
		COUNT_INLINE(number, SIDESTEP_REPLY);
		return TC_NEXT;
	case SIDESTEP_LINK:
	case SIDESTEP_OWN:
	case SIDESTEP_PASS_UDP:
		count(number, verdict);
		return TC_NEXT;
	}
	count(number, verdict);
	count(number, SIDESTEP_GUARD_DROPS);
	denial_note(skb, number, SIDESTEP_GUARD_DROPS, verdict, 0);
	return TC_ACT_SHOT;
}

static __noinline int record_opening(__u32 number, const struct address_pair *answers,
				     const struct plain_transport *plain)
{
	struct packet *scratch = packet_scratch(PACKET_FRAME);
	const struct recalled *known = recall(answers, number);

	if (!scratch || !known)
		return 0;
	if (!known->destination_bypass)
		inbound_put(number, flow_plain(number, scratch, answers, plain));
	return 1;
}

/* Sees to a plain TCP packet, which opens a flow or needs no record. inbound_record() would do the
 * same. Returns 0 for a packet that must be parsed first. */
static __always_inline int recorded_plain(struct __sk_buff *skb)
{
	struct plain_transport plain;
	struct address_pair pair;
	__u16 port;

	if (!packet_plain(skb, &pair, ETHERNET_SIZE) ||
	    !packet_plain_transport(skb, pair.ipv4, &plain, ETHERNET_SIZE) ||
	    plain.protocol != IPPROTO_TCP || plain.fragment)
		return 0;
	if (!plain.opening)
		return 1;
	pair = pair_reversed(&pair);
	port = plain.source_port;
	plain.source_port = plain.destination_port;
	plain.destination_port = port;
	return record_opening(outer_number(skb), &pair, &plain);
}

SEC("tc")
int host_egress(struct __sk_buff *skb)
{
	struct packet *packet;
	__u32 number;

	if (recorded_plain(skb))
		return TC_NEXT;
	number = outer_number(skb);
	if (inbound_ignores(skb, number, ETHERNET_SIZE) || packet_read(skb) != PACKET_IP)
		return TC_NEXT;
	packet = packet_scratch(PACKET_FRAME);
	if (packet)
		inbound_record(skb, number, packet, bypass_lookup(number, packet, packet->source),
			       0);
	return TC_NEXT;
}
