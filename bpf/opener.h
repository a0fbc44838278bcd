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

/* Linux, include/net/tcp_states.h */
#define BPF_TCP_SYN_SENT 2

/* Linux, include/linux/net.h: types of sockets */
#define SOCK_STREAM 1
#define SOCK_DGRAM  2

/*
 * Does the socket itself send this packet, in the context of the process that called it? A raw or
 * packet socket chooses the flow, and so could name another socket's. A timer sends a SYN again in
 * the context of any process.
 */
static __always_inline int opener_calls(struct __sk_buff *skb, __u8 protocol)
{
	struct bpf_sock *sk = skb->sk;
	struct bpf_tcp_sock *tcp;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 0;
	if (sk->protocol != protocol)
		return 0;
	if (protocol == IPPROTO_UDP)
		return sk->type == SOCK_DGRAM;
	if (sk->type != SOCK_STREAM)
		return 0;
	tcp = bpf_tcp_sock(sk);
	if (!tcp)
		return 0;
	return tcp->total_retrans == 0;
}

/* Notes the opener of the flow in packet->flow. */
__noinline int opener_note(struct __sk_buff *skb)
{
	struct packet *packet = packet_scratch(PACKET_FRAME);

	if (!packet)
		return 0;
	if (!opener_calls(skb, packet->flow.protocol))
		return 0;
	process_read(skb, &packet->process, 1);
	/* Without memory nobody knows the opener. */
	(void)map_update(&openers, &packet->flow, &packet->process, 0);
	return 0;
}

/* Does likewise for a TCP packet that is steered, if it is a SYN. judge() and judge_plain() have
 * filled packet->flow. */
static __always_inline void opener_note_tcp(struct __sk_buff *skb)
{
	const struct bpf_sock *sk = skb->sk;

	if (sk && sk->state == BPF_TCP_SYN_SENT)
		(void)opener_note(skb);
}

/* Does likewise for a query that packet_read() parsed. */
static __always_inline void opener_note_dns(struct __sk_buff *skb, __u32 netns)
{
	struct packet *packet = packet_scratch(PACKET_FRAME);

	if (packet) {
		(void)flow_outward(netns, packet);
		(void)opener_note(skb);
	}
}

#endif
