/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Records inbound flows in the map `inbound`, and finds the flow that an outgoing packet replies
 * to. */
#ifndef SIDESTEP_INBOUND_H
#define SIDESTEP_INBOUND_H

#include "bypass.h"
#include "decide.h"
#include "maps.h"
#include "packet.h"
#include "recall.h"

/* Fills packet->flow for an outgoing packet: its source is the local end. */
static __always_inline const struct sidestep_flow_key *flow_outward(__u32 netns,
								    struct packet *packet)
{
	struct sidestep_flow_key *key = &packet->flow;

	__builtin_memset(key, 0, sizeof(*key));
	__builtin_memcpy(key->local_address, packet->source, 16);
	__builtin_memcpy(key->remote_address, packet->destination, 16);
	key->local_port = packet->source_port;
	key->remote_port = packet->destination_port;
	key->protocol = packet->protocol;
	key->netns = netns;
	return key;
}

/* Fills packet->flow for an incoming packet: its destination is the local end. */
static __always_inline const struct sidestep_flow_key *flow_inward(__u32 netns,
								   struct packet *packet)
{
	struct sidestep_flow_key *key = &packet->flow;

	__builtin_memset(key, 0, sizeof(*key));
	__builtin_memcpy(key->local_address, packet->destination, 16);
	__builtin_memcpy(key->remote_address, packet->source, 16);
	key->local_port = packet->destination_port;
	key->remote_port = packet->source_port;
	key->protocol = packet->protocol;
	key->netns = netns;
	return key;
}

static __always_inline int inbound_has(const struct sidestep_flow_key *key)
{
	const struct sidestep_inbound *value = bpf_map_lookup_elem(&inbound, key);

	return value && value->start != SIDESTEP_INBOUND_PENDING;
}

/* Deletes the entry of a flow that the application itself opens. Negative: the deletion failed. */
static __always_inline int inbound_forget(const struct sidestep_flow_key *key)
{
	int error = map_delete(&inbound, key);

	return error == 0 || error == -ENOENT ? 0 : -1;
}

/*
 * Does the ICMP error @packet answer the incoming packet that it quotes behind its own header of 8
 * bytes? It goes to the sender of that packet, and comes from the address that was asked or from
 * another one of the container's subnets. Without this, it would carry data to any address.
 */
static __always_inline int inbound_quotes(__u32 netns, const struct packet *packet,
					  const struct packet *quoted)
{
	return address_same(packet->destination, quoted->source) &&
	       (address_same(packet->source, quoted->destination) ||
		bypass_lookup(netns, packet, packet->source));
}

/*
 * Does the outgoing packet that packet_read() parsed belong to an inbound flow? An ICMP error
 * belongs to the flow of the packet that it quotes.
 */
__noinline int inbound_known(struct __sk_buff *skb, __u32 netns)
{
	struct packet *packet = packet_scratch(PACKET_FRAME), *quoted;
	int error;

	if (!packet)
		return 0;
	if (!packet_is_icmp_error(packet))
		return inbound_has(flow_outward(netns, packet));
	quoted = packet_scratch(PACKET_QUOTED);
	if (!quoted)
		return 0;
	error = packet->ipv4 ? packet_parse_ipv4(skb, quoted, packet->transport + 8)
			     : packet_parse_ipv6_plain(skb, quoted, packet->transport + 8);
	if (error < 0 || packet_parse_transport(skb, PACKET_QUOTED) < 0)
		return 0;
	if (!inbound_quotes(netns, packet, quoted))
		return 0;
	return inbound_has(flow_inward(netns, quoted));
}

/* Fills packet->flow for a packet that was read at fixed offsets. @pair and @plain have the local
 * end as the source. */
static __always_inline const struct sidestep_flow_key *
flow_plain(__u32 netns, struct packet *packet, const struct address_pair *pair,
	   const struct plain_transport *plain)
{
	struct sidestep_flow_key *key = &packet->flow;

	__builtin_memset(key, 0, sizeof(*key));
	__builtin_memcpy(key->local_address, pair->source, 16);
	__builtin_memcpy(key->remote_address, pair->destination, 16);
	key->local_port = plain->source_port;
	key->remote_port = plain->destination_port;
	key->protocol = plain->protocol;
	key->netns = netns;
	return key;
}

/*
 * Does an outgoing TCP packet, read at fixed offsets, belong to an inbound flow? A SYN never
 * belongs to one and deletes any stale entry; non-zero then means that the deletion failed.
 */
static __noinline int inbound_known_plain(__u32 netns, const struct address_pair *pair,
					  const struct plain_transport *plain)
{
	struct packet *scratch = packet_scratch(PACKET_FRAME);
	const struct sidestep_flow_key *key;

	if (!scratch)
		return 1;
	key = flow_plain(netns, scratch, pair, plain);
	return plain->opening ? inbound_forget(key) : inbound_has(key);
}

/* Has the namespace a connection with the endpoints of this incoming TCP packet? A socket that
 * listens, is still in a client's handshake, or is in TIME_WAIT does not count. */
static __noinline int connection_exists(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	int state;

	if (packet->ipv4) {
		__builtin_memcpy(&tuple.ipv4.saddr, packet->source + 12, 4);
		__builtin_memcpy(&tuple.ipv4.daddr, packet->destination + 12, 4);
		tuple.ipv4.sport = bpf_htons(packet->source_port);
		tuple.ipv4.dport = bpf_htons(packet->destination_port);
		sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, packet->source, 16);
		__builtin_memcpy(tuple.ipv6.daddr, packet->destination, 16);
		tuple.ipv6.sport = bpf_htons(packet->source_port);
		tuple.ipv6.dport = bpf_htons(packet->destination_port);
		sk = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return 0;
	state = sk->state;
	bpf_sk_release(sk);
	return state != BPF_TCP_LISTEN && state != BPF_TCP_NEW_SYN_RECV &&
	       state != BPF_TCP_TIME_WAIT;
}

/*
 * Records the flow of an incoming SYN that packet_read() parsed, unless the application itself has
 * a connection with the same endpoints. Otherwise anybody who forges a SYN with the endpoints of a
 * steered connection would let the rest of that connection out as replies.
 *
 * The application may open the flow at the same moment on another CPU. There the kernel hashes the
 * socket before it sends the SYN, and lo_egress deletes the entry when it sees the SYN. Therefore
 * the entry is pending first, then the socket is looked up, and an entry that still exists becomes
 * valid. Whichever CPU reaches the map first, the other one notices.
 */
__noinline int inbound_record_tcp(struct __sk_buff *skb, __u32 netns)
{
	struct packet *packet = packet_scratch(PACKET_FRAME);
	struct sidestep_inbound value = {.start = SIDESTEP_INBOUND_PENDING};
	const struct sidestep_flow_key *key;
	struct sidestep_arrival *arrival;
	__u32 zero = 0;
	int error, exists;

	/* The lookup runs `steer` too, which has to ignore it. */
	arrival = bpf_map_lookup_elem(&arrivals, &zero);
	if (!packet || !arrival)
		return -1;
	key = flow_inward(netns, packet);
	error = map_update(&inbound, key, &value, BPF_NOEXIST);
	if (error < 0 && error != -EEXIST)
		return -1;
	arrival->searching = 1;
	exists = connection_exists(skb, packet);
	arrival->searching = 0;
	if (exists) {
		/* An older entry belongs to that connection, which is inbound. */
		if (error == 0)
			map_delete(&inbound, key);
		return 0;
	}
	value.start = bpf_ktime_get_ns();
	error = map_update(&inbound, key, &value, BPF_EXIST);
	return error == 0 || error == -ENOENT ? 0 : -1;
}

/* Records a flow, or renews its time. */
static __always_inline void inbound_put(__u32 netns, const struct sidestep_flow_key *key)
{
	struct sidestep_inbound value = {.start = bpf_ktime_get_ns()};

	if (map_update(&inbound, key, &value, 0) < 0)
		count(netns, SIDESTEP_INBOUND_FULL);
}

/* Records the flow of an incoming packet unless @source, its source's entry, is a bypass. @local:
 * the other end may be a socket of this namespace. */
static __always_inline void inbound_record(struct __sk_buff *skb, __u32 netns,
					   struct packet *packet,
					   const struct sidestep_bypass *source, int local)
{
	const struct sidestep_flow_key *key;

	if (source || packet->later_fragment)
		return;
	/* Only the first packet of a connection counts. */
	if (packet->protocol != IPPROTO_UDP && !packet->opening)
		return;
	/* This is a resolver's answer; queries to it are never replies (sidestep_decide()). */
	if (packet->protocol == IPPROTO_UDP && packet->source_port == SIDESTEP_DNS_PORT)
		return;
	if (local && packet->protocol == IPPROTO_TCP) {
		if (inbound_record_tcp(skb, netns) < 0)
			count(netns, SIDESTEP_INBOUND_FULL);
		return;
	}
	key = flow_inward(netns, packet);
	if (packet->protocol != IPPROTO_TCP && bpf_map_lookup_elem(&inbound, key))
		return;
	inbound_put(netns, key);
}

/* Returns the pair of the packets that go back: it is cached already, or soon needed. */
static __always_inline struct address_pair pair_reversed(const struct address_pair *pair)
{
	return (struct address_pair) {
		.source = {pair->destination[0], pair->destination[1]},
		.destination = {pair->source[0], pair->source[1]},
		.ipv4 = pair->ipv4,
	};
}

/* Returns 1 for an incoming packet that needs no record, check for spoofing or smaller MSS. Returns
 * 0 for one that must be parsed first. */
static __always_inline int inbound_ignores(struct __sk_buff *skb, __u32 netns, __u32 link)
{
	const struct recalled *known;
	struct plain_transport plain;
	struct address_pair pair, answer;

	if (!packet_plain(skb, &pair, link))
		return 0;
	answer = pair_reversed(&pair);
	known = recall(&answer, netns);
	if (!known || (known->destination_bypass & SIDESTEP_FROM_LOCAL))
		return 0;
	if (known->destination_bypass)
		return 1;
	return packet_plain_transport(skb, pair.ipv4, &plain, link) &&
	       plain.protocol == IPPROTO_TCP && !plain.syn;
}

#endif
