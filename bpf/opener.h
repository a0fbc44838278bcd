/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Notes who opened a steered flow, in the map `openers`. It is information for people, and no
 * verdict depends on it.
 */
#ifndef SIDESTEP_OPENER_H
#define SIDESTEP_OPENER_H

#include "inbound.h"
#include "maps.h"
#include "packet.h"
#include "process.h"

/* Is the socket of the flow's own kind? A raw or packet socket chooses the flow that it sends, and
 * so could name another socket's. */
static __always_inline int opener_owns(const struct bpf_sock *sk, __u8 protocol)
{
	return sk->protocol == protocol &&
	       sk->type == (protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM);
}

#ifdef SIDESTEP_SHARED
static const __u32 config_openers = 1;

#define STARTERS_MAX  8192
#define STARTERS_SIZE (1 << 16) /* bytes */

/* A process, whose number alone is used again, and the program that it runs. */
struct starter_key {
	__u64 started;
	__u64 comm[2];
	__u32 pid;
	__u32 padding;
};

/* The processes that `starters` has told of. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, STARTERS_MAX);
	__type(key, struct starter_key);
	__type(value, __u32);
} started SEC(".maps");

/* Tells the agent of each process's first flow, while the process is still there. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, STARTERS_SIZE);
} starters SEC(".maps");

static __noinline int starter_note(const struct sidestep_process *process)
{
	struct starter_key key = {.started = process->started, .pid = process->pid};
	__u32 told = 1;

	__builtin_memcpy(key.comm, process->comm, sizeof(key.comm));
	if (process->pid && !bpf_map_lookup_elem(&started, &key) &&
	    (int)bpf_ringbuf_output(&starters, (void *)process, sizeof(*process), 0) == 0)
		(void)map_update(&started, &key, &told, 0);
	return 0;
}

static __always_inline void opener_keep(const struct packet *packet)
{
	/* Without memory nobody knows the opener. */
	(void)map_update(&openers, &packet->flow, &packet->denial.process, 0);
	(void)starter_note(&packet->denial.process);
}
#else
/* Does anybody want to know? The loader sets it before the load. */
const volatile __u32 config_openers = 0;

static __always_inline void opener_keep(const struct packet *packet)
{
	__u64 slot = word_pair(sidestep_opener_slot(packet->flow.local_port), 0);
	struct sidestep_opener *opener = bpf_map_lookup_elem(&openers, &slot);

	if (!opener)
		return;
	opener->process = packet->denial.process;
	opener->flow = packet->flow;
	opener->check = sidestep_opener_check(&packet->denial.process, &packet->flow);
}
#endif

/* Notes the opener of the flow in packet->flow. */
__noinline int opener_note(struct __sk_buff *skb)
{
	struct packet *packet = packet_scratch(PACKET_FRAME);
	struct bpf_sock *sk = process_socket(skb);

	if (!packet || !sk)
		return 0;
	if (!opener_owns(sk, packet->flow.protocol) || !process_calls(sk))
		return 0;
	process_read(skb, &packet->denial.process, 1);
	opener_keep(packet);
	return 0;
}

/* Does likewise for a TCP packet that is steered, if it is a SYN. judge() and judge_plain() have
 * filled packet->flow. */
static __always_inline void opener_note_tcp(struct __sk_buff *skb)
{
	const struct bpf_sock *sk = skb->sk;

	if (config_openers && sk && sk->state == BPF_TCP_SYN_SENT)
		(void)opener_note(skb);
}

/* Does likewise for a query that packet_read() parsed. */
static __always_inline void opener_note_dns(struct __sk_buff *skb, __u32 netns)
{
	struct packet *packet = packet_scratch(PACKET_FRAME);

	if (config_openers && packet) {
		(void)flow_outward(netns, packet);
		(void)opener_note(skb);
	}
}

#endif
