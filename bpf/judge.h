/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From a frame to a verdict: what the maps and the sending socket say of it, put before
 * sidestep_decide(). Included by the programs once the maps are declared.
 */
#ifndef SIDESTEP_JUDGE_H
#define SIDESTEP_JUDGE_H

#include "decide.h"
#include "maps.h"
#include "packet.h"

/* Who asks for a verdict on what leaves. */
enum judge_place {
	AT_LO,	   /* sockets of this namespace's sent it, and it is steered from here */
	AT_DEVICE, /* likewise, but what should have been steered is dropped */
	AT_BRIDGE, /* containers sent it; steered from here */
};

#ifdef SIDESTEP_SHARED
/*
 * One load serves several namespaces: each packet is asked for that of its device. The helper
 * bpf_get_netns_cookie() does not serve, as it asks the socket, which what comes in has none of.
 * Kernel types, by BTF and relocated where it loads (CO-RE); bpf_cast_to_kern_ctx() is of
 * Linux 6.2.
 */
struct net {
	__u64 net_cookie;
} __attribute__((preserve_access_index));

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	possible_net_t nd_net;
} __attribute__((preserve_access_index));

struct sk_buff {
	struct net_device *dev;
} __attribute__((preserve_access_index));

extern void *bpf_cast_to_kern_ctx(void *context) __ksym;

static __always_inline __u32 netns_of(struct __sk_buff *skb)
{
	struct sk_buff *kernel_skb = bpf_cast_to_kern_ctx(skb);

	return (__u32)kernel_skb->dev->nd_net.net->net_cookie;
}
#else
/* The one namespace that this load serves. Set by the loader before load. */
const volatile __u32 config_netns = 0;

static __always_inline __u32 netns_of(struct __sk_buff *skb)
{
	(void)skb;
	return config_netns;
}
#endif

static __always_inline struct sidestep_bypass *bypass_lookup4(__u32 netns, __be32 address)
{
	struct sidestep_prefix4 key = {.prefix_length = SIDESTEP_NETNS_BITS + 32, .netns = netns};

	__builtin_memcpy(key.address, &address, sizeof(key.address));
	return bpf_map_lookup_elem(&bypass4, &key);
}

static __always_inline struct sidestep_bypass *bypass_lookup6(__u32 netns, const void *address)
{
	struct sidestep_prefix6 key = {.prefix_length = SIDESTEP_NETNS_BITS + 128, .netns = netns};

	__builtin_memcpy(key.address, address, sizeof(key.address));
	return bpf_map_lookup_elem(&bypass6, &key);
}

static __always_inline __u32 bypass_sources(const struct sidestep_bypass *bypass)
{
	return bypass ? bypass->sources : 0;
}

/* Not inlined: keys with a stack of their own never share a slot with a spilled pointer, which the
 * verifier would refuse without CAP_PERFMON. The same goes for the others below. */
static __noinline struct sidestep_bypass *bypass_lookup(__u32 netns, const struct packet *packet,
							const __u8 address[16])
{
	return packet->ipv4 ? bypass_lookup4(netns, *(const __be32 *)(address + 12))
			    : bypass_lookup6(netns, address);
}

/* Fills packet->flow with the flow of a packet that leaves: the sender is the local end. */
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

/* Likewise of one that comes. */
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

/* The application opens this flow: it is nobody else's any more (inbound_record_tcp()). Negative:
 * the kernel could not see to that. */
static __always_inline int inbound_forget(const struct sidestep_flow_key *key)
{
	int error = map_delete(&inbound, key);

	return error == 0 || error == -ENOENT ? 0 : -1;
}

/*
 * Is what packet_read() has read, and leaves, part of something that came in? An ICMP error belongs
 * to the packet that it quotes behind its 8 bytes of header, which came in.
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
	if (error < 0 || packet_parse_transport(skb, quoted) < 0)
		return 0;
	return inbound_has(flow_inward(netns, quoted));
}

/*
 * Is a TCP packet that was read at fixed offsets, and leaves, part of something that came in? A SYN
 * is not, and ends what was there: then not 0 if the kernel could not see to that.
 */
static __noinline int plain_inbound(__u32 netns, const struct address_pair *pair,
				    const struct plain_transport *plain)
{
	struct packet *scratch = packet_scratch(PACKET_FRAME);
	struct sidestep_flow_key *key;

	if (!scratch)
		return 1;
	key = &scratch->flow;
	__builtin_memset(key, 0, sizeof(*key));
	__builtin_memcpy(key->local_address, pair->source, 16);
	__builtin_memcpy(key->remote_address, pair->destination, 16);
	key->local_port = plain->source_port;
	key->remote_port = plain->destination_port;
	key->protocol = plain->protocol;
	key->netns = netns;
	return plain->opening ? inbound_forget(key) : inbound_has(key);
}

/* Has the namespace a connection with the endpoints of this TCP packet, which came in? A socket
 * that listens, still shakes hands with a client, or is in TIME_WAIT is none. */
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
 * What packet_read() has read is a SYN that came from outside. Its flow is entered only if no
 * connection of the application's own has it: else whoever sends a SYN with the endpoints of a
 * steered connection would have the rest of that let out as replies. The application may open the
 * flow at the same moment on another CPU, where the kernel makes the socket known before it sends
 * the SYN, and lo_egress removes the entry when it sees that. So it is entered as pending first,
 * then the socket is looked for, and only the entry that is still there becomes valid: whichever of
 * the two came first to the map, the other one sees it.
 */
__noinline int inbound_record_tcp(struct __sk_buff *skb, __u32 netns)
{
	struct packet *packet = packet_scratch(PACKET_FRAME);
	struct sidestep_inbound value = {.start = SIDESTEP_INBOUND_PENDING};
	const struct sidestep_flow_key *key;
	struct sidestep_arrival *arrival;
	__u32 zero = 0;
	int error, exists;

	/* `steer` runs for the lookup, too. */
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
		/* What was there before is that connection's, which came from outside. */
		if (error == 0)
			map_delete(&inbound, key);
		return 0;
	}
	value.start = bpf_ktime_get_ns();
	error = map_update(&inbound, key, &value, BPF_EXIST);
	return error == 0 || error == -ENOENT ? 0 : -1;
}

/* Remembers a flow that came from @source, unless that is bypassed. @local: its other end may be a
 * socket of this namespace's. */
static __always_inline void inbound_record(struct __sk_buff *skb, __u32 netns,
					   struct packet *packet,
					   const struct sidestep_bypass *source, int local)
{
	const struct sidestep_flow_key *key;
	struct sidestep_inbound value;

	if (source || packet->later_fragment)
		return;
	/* Only the first packet of a connection counts. */
	if (packet->protocol != IPPROTO_UDP && !packet->opening)
		return;
	/* A resolver's answer; questions to it are never replies (sidestep_decide()). */
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
	value.start = bpf_ktime_get_ns();
	if (map_update(&inbound, key, &value, 0) < 0)
		count(netns, SIDESTEP_INBOUND_FULL);
}

static __always_inline __u32 owner_get(struct bpf_sock *sk)
{
	struct sidestep_owner_value *value;

	if (!sk)
		return SIDESTEP_OWNER_NONE;
	value = bpf_sk_storage_get(&owners, sk, NULL, 0);
	return value ? value->owner : SIDESTEP_OWNER_NONE;
}

/* Of the socket that sends @skb: bpf_sk_storage_get() itself looks whether it is a full one. */
static __always_inline __u32 sender_owner(struct __sk_buff *skb)
{
	return owner_get(skb->sk);
}

/*
 * Of the TCP socket that sends @skb; handshakes and TIME_WAIT have none. By early returns: a
 * pointer that is known to be NULL on some way here is refused before Linux 6.16 without
 * CAP_PERFMON, as a processor could mispredict the question for it.
 */
static __noinline int sender_owner_set(struct __sk_buff *skb, __u32 owner)
{
	struct sidestep_owner_value initial = {.owner = owner};
	struct sidestep_owner_value *value;
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 0;
	if (sk->protocol != IPPROTO_TCP)
		return 0;
	value = bpf_sk_storage_get(&owners, sk, &initial, BPF_SK_STORAGE_GET_F_CREATE);
	if (value)
		value->owner = owner;
	return 0;
}

/* --udp pass of this namespace's proxy. */
static __always_inline int udp_may_pass(__u32 netns)
{
	const struct sidestep_namespace *namespace = bpf_map_lookup_elem(&namespaces, &netns);

	return namespace && namespace->udp_pass;
}

/* The verdict on the frame that packet_read() has read, which leaves, with the expensive questions
 * asked only if needed. @place: enum judge_place. */
__noinline int judge(struct __sk_buff *skb, __u32 netns, __u32 place)
{
	struct packet *packet = packet_scratch(PACKET_FRAME);
	struct decision_input in = {};
	__u32 verdict;

	if (!packet)
		return SIDESTEP_DENY_MALFORMED;
	if (place != AT_BRIDGE)
		in.owner = sender_owner(skb);
	in.destination_bypass = bypass_sources(bypass_lookup(netns, packet, packet->destination));
	in.destination_port = packet->destination_port;
	in.protocol = packet->protocol;
	in.later_fragment = packet->later_fragment;
	in.opening = packet->opening;
	if (in.destination_bypass) {
		if (!(in.destination_bypass & (SIDESTEP_FROM_LOCAL | SIDESTEP_FROM_BUILTIN)))
			in.source_bypass =
				bypass_sources(bypass_lookup(netns, packet, packet->source));
	} else {
		if (!in.opening && in.owner == SIDESTEP_OWNER_NONE)
			in.inbound = inbound_known(skb, netns) != 0;
		if (in.protocol == IPPROTO_UDP)
			in.udp_pass = udp_may_pass(netns);
	}
	/* From here on the socket itself remembers, whatever the map has to forget. */
	if (in.inbound && place != AT_BRIDGE && in.protocol == IPPROTO_TCP)
		sender_owner_set(skb, SIDESTEP_OWNER_INBOUND);
	verdict = sidestep_decide(&in);
	if (verdict == SIDESTEP_STEER_TCP && in.opening && place != AT_DEVICE &&
	    inbound_forget(flow_outward(netns, packet)) < 0)
		return SIDESTEP_ASSIGN_ERRORS;
	return (int)verdict;
}

#include "recall.h"

/* judge_plain(): what it knows does not suffice. */
#define ASK_FURTHER SIDESTEP_VERDICTS

/*
 * The verdict on most packets that leave, from what can be had at little cost; it is judge()'s.
 * ASK_FURTHER: of other frames, of the first reply that a socket sends, where --udp decides, and at
 * a device where the map `inbound` does.
 */
static __always_inline __u32 judge_plain(struct __sk_buff *skb, __u32 netns, enum judge_place place)
{
	struct decision_input in = {};
	const struct recalled *known;
	struct plain_transport plain;
	struct address_pair pair;

	if (!packet_plain(skb, &pair))
		return ASK_FURTHER;
	known = recall(&pair, netns);
	if (!known)
		return ASK_FURTHER;
	in.source_bypass = known->source_bypass;
	in.destination_bypass = known->destination_bypass;
	if (sidestep_addresses_decide(&in))
		return sidestep_decide(&in);
	if (!packet_plain_transport(skb, pair.ipv4, &plain) || plain.protocol != IPPROTO_TCP ||
	    plain.later_fragment)
		return ASK_FURTHER;
	in.owner = place == AT_BRIDGE ? SIDESTEP_OWNER_NONE : sender_owner(skb);
	if (in.owner == SIDESTEP_OWNER_NONE) {
		/* judge() has the socket of a reply remember. */
		if (place == AT_DEVICE ? !plain.opening : plain_inbound(netns, &pair, &plain))
			return ASK_FURTHER;
	} else if (in.owner == SIDESTEP_OWNER_INBOUND && plain.opening) {
		return ASK_FURTHER;
	}
	in.protocol = IPPROTO_TCP;
	in.opening = plain.opening;
	in.destination_port = plain.destination_port;
	return sidestep_decide(&in);
}

/* Is @skb, which came in by a device, neither of a source that must be known better nor the start
 * of anything? Then there is nothing to be done about it. */
static __always_inline int arrive_plain(struct __sk_buff *skb, __u32 netns)
{
	const struct recalled *known;
	struct plain_transport plain;
	struct address_pair pair, answer;

	if (!packet_plain(skb, &pair))
		return 0;
	/* The pair of the packets that go back, which is known already, or will be needed. */
	answer = (struct address_pair) {
		.source = {pair.destination[0], pair.destination[1]},
		.destination = {pair.source[0], pair.source[1]},
		.ipv4 = pair.ipv4,
	};
	known = recall(&answer, netns);
	if (!known || (known->destination_bypass & SIDESTEP_FROM_LOCAL))
		return 0;
	if (known->destination_bypass)
		return 1;
	return packet_plain_transport(skb, pair.ipv4, &plain) && plain.protocol == IPPROTO_TCP &&
	       !plain.opening;
}

/* The verdict on whatever leaves by a device. */
static __always_inline __u32 judge_frame(struct __sk_buff *skb, __u32 netns, enum judge_place place)
{
	__u32 verdict = judge_plain(skb, netns, place);

	if (verdict != ASK_FURTHER)
		return verdict;
	switch (packet_read(skb)) {
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

#endif
