/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Records denied packets in the ring buffer `denials`, for people. A flood costs no more than the
 * budget below, and the next record says how many were left out.
 */
#ifndef SIDESTEP_DENIAL_H
#define SIDESTEP_DENIAL_H

#include "budget.h"
#include "inbound.h"
#include "maps.h"
#include "packet.h"
#include "process.h"

/* At most 200 records in any second: 100 at this interval, and those that may be saved up. */
#define DENIAL_INTERVAL_NS (1000000000ULL / 100)
#define DENIAL_SAVED	   100

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BUDGETS);
	__type(key, __u32);
	__type(value, struct budget);
} denial_budgets SEC(".maps");

static __always_inline struct budget *denial_budget(__u32 netns)
{
	__u32 slot = netns & (BUDGETS - 1);

	return bpf_map_lookup_elem(&denial_budgets, &slot);
}

/* Fills packet->denial with the frame's flow, as far as it can be read. */
static __noinline int denial_read(struct __sk_buff *skb, __u32 netns, __u32 link)
{
	int readable = packet_read_at(skb, link) == PACKET_IP;
	struct packet *packet = packet_scratch(PACKET_FRAME);

	if (!packet)
		return -1;
	__builtin_memset(&packet->denial, 0, sizeof(packet->denial));
	if (readable) {
		(void)flow_outward(netns, packet);
		packet->denial.flow = packet->flow;
	}
	packet->denial.flow.netns = netns;
	return 0;
}

/*
 * Records the frame. @verdict: the counter that counts it. @judged: the verdict on it, which is
 * another one where the guard counts. @called: the sender's process may be running. @link: as in
 * plain.h.
 */
static __always_inline int denial_record(struct __sk_buff *skb, __u32 netns, __u32 verdict,
					 __u32 judged, int called, __u32 link)
{
	struct budget *budget = denial_budget(netns);
	struct bpf_sock *sk;
	struct packet *packet;
	struct sidestep_denial *denial;

	if (!budget)
		return 0;
	if (!budget_take(budget, DENIAL_INTERVAL_NS, DENIAL_SAVED))
		return 0;
	if (denial_read(skb, netns, link) < 0)
		return 0;
	packet = packet_scratch(PACKET_FRAME);
	if (!packet)
		return 0;
	denial = &packet->denial;
	sk = called ? process_socket(skb) : 0;
	denial->verdict = verdict;
	denial->judged = judged;
	process_read(skb, &denial->process, sk && process_calls(sk));
	budget = denial_budget(netns);
	if (!budget)
		return 0;
	denial->lost = budget->missed;
	/* The reader is slow, or there is none. */
	if ((int)bpf_ringbuf_output(&denials, denial, sizeof(*denial), 0) < 0)
		budget_miss(budget);
	return 0;
}

/* The sender's process calls where the packet leaves its namespace, and not at the host. */
__noinline int denial_note(struct __sk_buff *skb, __u32 netns, __u32 verdict, __u32 judged,
			   __u32 called)
{
	return denial_record(skb, netns, verdict, judged, (int)called, ETHERNET_SIZE);
}

/* Does likewise with a frame of an L3 device. */
__noinline int denial_note_l3(struct __sk_buff *skb, __u32 netns, __u32 verdict, __u32 judged,
			      __u32 called)
{
	return denial_record(skb, netns, verdict, judged, (int)called, 0);
}

#endif
