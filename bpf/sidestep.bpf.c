// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Sidecar mode, in the application's network namespace. Policy routing brings what the application
 * sends to lo; there
 *   steer       (sk_lookup)           gives its connections to the proxy's listener,
 *   lo_egress   (TC, egress of lo)    lets go what must leave: replies of inbound connections and
 *                                     the proxy's own;
 *   dev_ingress (TC, ingress of ethN) remembers what came from outside,
 *   dev_egress  (TC, egress of ethN)  is the guard: what walked around all this is dropped.
 *
 * Bridge mode, on the host. The proxy's listeners are in a namespace of their own behind a veth;
 *   bridge_ingress (TC, ingress of the bridge) sends there what containers open to the outside,
 *   bridge_egress  (TC, egress of the bridge)  remembers what came from outside,
 *   veth_ingress   (TC, ingress of the veth)   carries the proxy's answers back to the bridge,
 *   steer          (sk_lookup, in the proxy's namespace) as above.
 *
 * All decide by sidestep_decide(). TC programs pass with TCX_NEXT, so that others behind run too.
 */
#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <sidestep.h>
#include "decide.h"
#include "maps.h"
#include "packet.h"

/* Same value and meaning for TCX (TCX_NEXT) and clsact (TC_ACT_UNSPEC). */
#define TC_NEXT	    (-1)
#define TC_ACT_SHOT 2

#define AF_INET	 2
#define AF_INET6 10

/* Set by the loader before load (user/datapath.c). */
const volatile __u8 config_udp_pass = 0;
const volatile __u32 config_veth_ifindex = 0;

static __always_inline struct sidestep_bypass *bypass_lookup4(__be32 address)
{
	struct sidestep_prefix4 key = {.prefix_length = 32};

	__builtin_memcpy(key.address, &address, sizeof(key.address));
	return bpf_map_lookup_elem(&bypass4, &key);
}

static __always_inline struct sidestep_bypass *bypass_lookup6(const void *address)
{
	struct sidestep_prefix6 key = {.prefix_length = 128};

	__builtin_memcpy(key.address, address, sizeof(key.address));
	return bpf_map_lookup_elem(&bypass6, &key);
}

/* Not inlined: keys with a stack of their own never share a slot with a spilled pointer, which the
 * verifier would refuse without CAP_PERFMON. */
static __noinline struct sidestep_bypass *bypass_lookup(const struct packet *packet,
							const __u8 address[16])
{
	return packet->ipv4 ? bypass_lookup4(*(const __be32 *)(address + 12))
			    : bypass_lookup6(address);
}

static __always_inline __u32 bypass_sources(const struct sidestep_bypass *bypass)
{
	return bypass ? bypass->sources : 0;
}

/* The flow of a packet that leaves: the sender is the local end. */
static __always_inline void flow_key_outward(struct sidestep_flow_key *key,
					     const struct packet *packet)
{
	__builtin_memset(key, 0, sizeof(*key));
	__builtin_memcpy(key->local_address, packet->source, 16);
	__builtin_memcpy(key->remote_address, packet->destination, 16);
	key->local_port = packet->source_port;
	key->remote_port = packet->destination_port;
	key->protocol = packet->protocol;
}

static __always_inline void flow_key_inward(struct sidestep_flow_key *key,
					    const struct packet *packet)
{
	__builtin_memset(key, 0, sizeof(*key));
	__builtin_memcpy(key->local_address, packet->destination, 16);
	__builtin_memcpy(key->remote_address, packet->source, 16);
	key->local_port = packet->destination_port;
	key->remote_port = packet->source_port;
	key->protocol = packet->protocol;
}

/*
 * Is @packet, which leaves, part of something that came in? An ICMP error belongs to the packet
 * that it quotes behind its 8 bytes of header, which came in.
 */
static __always_inline int inbound_known(struct __sk_buff *skb, const struct packet *packet)
{
	struct sidestep_flow_key key;
	struct packet quoted = {};
	int error;

	if (!packet_is_icmp_error(packet)) {
		flow_key_outward(&key, packet);
		return bpf_map_lookup_elem(&inbound, &key) != NULL;
	}
	error = packet->ipv4 ? packet_parse_ipv4(skb, &quoted, packet->transport + 8)
			     : packet_parse_ipv6_plain(skb, &quoted, packet->transport + 8);
	if (error < 0 || packet_parse_transport(skb, &quoted) < 0)
		return 0;
	flow_key_inward(&key, &quoted);
	return bpf_map_lookup_elem(&inbound, &key) != NULL;
}

/* Records the start of a connection that is steered. */
static __always_inline void flow_record(const struct packet *packet)
{
	struct sidestep_flow flow = {
		.start = bpf_ktime_get_ns(),
		.verdict = SIDESTEP_STEER_TCP,
	};
	struct sidestep_flow_key key;

	flow_key_outward(&key, packet);
	(void)bpf_map_update_elem(&flows, &key, &flow, 0);
}

/* Remembers a flow that came from @source, unless that is bypassed. */
static __always_inline void inbound_record(const struct packet *packet,
					   const struct sidestep_bypass *source)
{
	struct sidestep_inbound value;
	struct sidestep_flow_key key;

	if (source || packet->later_fragment)
		return;
	/* Only the first packet of a connection counts. */
	if (packet->protocol != IPPROTO_UDP && !packet->opening)
		return;
	/* A resolver's answer; questions to it are never replies (sidestep_decide()). */
	if (packet->protocol == IPPROTO_UDP && packet->source_port == SIDESTEP_DNS_PORT)
		return;
	flow_key_inward(&key, packet);
	if (packet->protocol != IPPROTO_TCP && bpf_map_lookup_elem(&inbound, &key))
		return;
	value.start = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&inbound, &key, &value, 0) < 0)
		count(SIDESTEP_INBOUND_FULL);
}

static __always_inline __u32 owner_get(struct bpf_sock *sk)
{
	struct sidestep_owner_value *value;

	if (!sk)
		return SIDESTEP_OWNER_NONE;
	value = bpf_sk_storage_get(&owners, sk, NULL, 0);
	return value ? value->owner : SIDESTEP_OWNER_NONE;
}

static __always_inline void owner_set(struct bpf_sock *sk, __u32 owner)
{
	struct sidestep_owner_value initial = {.owner = owner};
	struct sidestep_owner_value *value;

	value = bpf_sk_storage_get(&owners, sk, &initial, BPF_SK_STORAGE_GET_F_CREATE);
	if (value)
		value->owner = owner;
}

/* The full socket that sends @skb; handshakes and TIME_WAIT have none. */
static __always_inline struct bpf_sock *sender(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	return sk ? bpf_sk_fullsock(sk) : NULL;
}

/* The verdict on a parsed packet that leaves, with the expensive questions asked only if needed. */
static __always_inline __u32 judge(struct __sk_buff *skb, const struct packet *packet,
				   struct bpf_sock *sk, __u32 owner)
{
	struct decision_input in = {
		.destination_bypass = bypass_sources(bypass_lookup(packet, packet->destination)),
		.owner = owner,
		.destination_port = packet->destination_port,
		.protocol = packet->protocol,
		.later_fragment = packet->later_fragment,
		.opening = packet->opening,
		.udp_pass = config_udp_pass,
	};

	if (in.destination_bypass)
		in.source_bypass = bypass_sources(bypass_lookup(packet, packet->source));
	if (!in.destination_bypass && !in.opening && owner == SIDESTEP_OWNER_NONE)
		in.inbound = inbound_known(skb, packet);
	/* From here on the socket itself remembers, whatever the map has to forget. */
	if (in.inbound && sk && sk->protocol == IPPROTO_TCP && packet->protocol == IPPROTO_TCP)
		owner_set(sk, SIDESTEP_OWNER_INBOUND);
	return sidestep_decide(&in);
}

/* The verdict on whatever leaves by a device; fills @packet where it is IP. @local: sent by a
 * socket of this namespace's, which may say whose it is. */
static __always_inline __u32 judge_frame(struct __sk_buff *skb, struct packet *packet, int local)
{
	struct bpf_sock *sk;

	switch (packet_parse(skb, packet)) {
	case PACKET_IP:
		sk = local ? sender(skb) : NULL;
		return judge(skb, packet, sk, owner_get(sk));
	case PACKET_ARP:
		return SIDESTEP_LINK;
	case PACKET_OTHER:
		return SIDESTEP_DENY_PROTOCOL;
	default:
		return SIDESTEP_DENY_MALFORMED;
	}
}

/* Sends a packet that the policy routing brought to lo out where the main table says. */
static __always_inline int send_out(const struct packet *packet)
{
	struct bpf_redir_neigh neighbour = {};
	struct sidestep_route *route;

	if (packet->ipv4) {
		struct sidestep_prefix4 key = {.prefix_length = 32};

		__builtin_memcpy(key.address, packet->destination + 12, sizeof(key.address));
		route = bpf_map_lookup_elem(&route4, &key);
		if (!route)
			return TC_ACT_SHOT;
		neighbour.nh_family = AF_INET;
		__builtin_memcpy(&neighbour.ipv4_nh,
				 route->has_gateway ? route->gateway : packet->destination + 12,
				 sizeof(neighbour.ipv4_nh));
	} else {
		struct sidestep_prefix6 key = {.prefix_length = 128};

		__builtin_memcpy(key.address, packet->destination, sizeof(key.address));
		route = bpf_map_lookup_elem(&route6, &key);
		if (!route)
			return TC_ACT_SHOT;
		neighbour.nh_family = AF_INET6;
		__builtin_memcpy(neighbour.ipv6_nh,
				 route->has_gateway ? route->gateway : packet->destination,
				 sizeof(neighbour.ipv6_nh));
	}
	return bpf_redirect_neigh(route->ifindex, &neighbour, sizeof(neighbour), 0);
}

/* The proxy answers DNS queries from its listener's port; the asker expects the resolver's. */
static __always_inline int answer_from_dns_port(struct __sk_buff *skb, const struct packet *packet)
{
	__be16 old = bpf_htons(packet->source_port), new = bpf_htons(SIDESTEP_DNS_PORT);

	if (bpf_l4_csum_replace(skb, packet->transport + UDP_CHECKSUM_OFFSET, old, new,
				BPF_F_MARK_MANGLED_0 | sizeof(new)) < 0 ||
	    bpf_skb_store_bytes(skb, packet->transport, &new, sizeof(new), 0) < 0)
		return -1;
	return 0;
}

SEC("sk_lookup")
int steer(struct bpf_sk_lookup *ctx)
{
	bool ipv4 = ctx->family == AF_INET;
	__u32 address[4], index, verdict;
	struct sidestep_bypass *bypass;
	struct bpf_sock *listener;
	long error;

	if (ipv4) {
		bypass = bypass_lookup4(ctx->local_ip4);
	} else {
		address[0] = ctx->local_ip6[0];
		address[1] = ctx->local_ip6[1];
		address[2] = ctx->local_ip6[2];
		address[3] = ctx->local_ip6[3];
		bypass = bypass_lookup6(address);
	}
	/* A connection to a server of the application's own, or of its neighbours'. */
	if (bypass) {
		count(SIDESTEP_LOCAL);
		return SK_PASS;
	}
	if (ctx->protocol == IPPROTO_TCP) {
		verdict = SIDESTEP_STEER_TCP;
		index = ipv4 ? SIDESTEP_LISTENER_TCP4 : SIDESTEP_LISTENER_TCP6;
	} else if (ctx->local_port == SIDESTEP_DNS_PORT) {
		verdict = SIDESTEP_STEER_DNS;
		index = ipv4 ? SIDESTEP_LISTENER_DNS4 : SIDESTEP_LISTENER_DNS6;
	} else {
		/* It must not reach a socket of the application's that listens on any address. */
		return SK_DROP;
	}
	listener = bpf_map_lookup_elem(&listeners, &index);
	if (!listener) {
		count(SIDESTEP_ASSIGN_ERRORS);
		return SK_DROP;
	}
	error = bpf_sk_assign(ctx, listener, 0);
	bpf_sk_release(listener);
	if (error < 0) {
		count(SIDESTEP_ASSIGN_ERRORS);
		return SK_DROP;
	}
	count(verdict);
	return SK_PASS;
}

/*
 * Stays on lo: what is local, and what is steered (a packet of a steered connection that nobody
 * expects any more is answered with RST there). Leaves: replies, the proxy's own, and UDP that may.
 */
SEC("tc")
int lo_egress(struct __sk_buff *skb)
{
	struct packet packet = {};
	enum packet_kind kind;
	struct bpf_sock *sk;
	__u32 owner, verdict;

	if (owner_get(sender(skb)) == SIDESTEP_OWNER_STEERED)
		return TC_NEXT;
	kind = packet_parse(skb, &packet);
	if (kind == PACKET_MALFORMED) {
		count(SIDESTEP_DENY_MALFORMED);
		return TC_ACT_SHOT;
	}
	if (kind != PACKET_IP)
		return TC_NEXT;
	/* Asked anew: kept over the parsing, it would double the verifier's work. */
	sk = sender(skb);
	owner = owner_get(sk);
	verdict = judge(skb, &packet, sk, owner);
	switch (verdict) {
	case SIDESTEP_LOCAL:
		if (owner == SIDESTEP_OWNER_PROXY && packet.protocol == IPPROTO_UDP &&
		    answer_from_dns_port(skb, &packet) < 0)
			return TC_ACT_SHOT;
		return TC_NEXT;
	case SIDESTEP_STEER_TCP:
		if (packet.opening) {
			flow_record(&packet);
			if (sk)
				owner_set(sk, SIDESTEP_OWNER_STEERED);
		}
		return TC_NEXT; /* counted where it is assigned */
	case SIDESTEP_STEER_DNS:
		return TC_NEXT;
	}
	count(verdict);
	switch (verdict) {
	case SIDESTEP_BRIDGE:
	case SIDESTEP_LINK:
		/* The map has the subnet, the routing rule not yet or no more. */
	case SIDESTEP_REPLY:
	case SIDESTEP_OWN:
	case SIDESTEP_PASS_UDP:
		return send_out(&packet);
	}
	return TC_ACT_SHOT;
}

SEC("tc")
int dev_ingress(struct __sk_buff *skb)
{
	const struct sidestep_bypass *source;
	struct packet packet = {};

	if (packet_parse(skb, &packet) != PACKET_IP)
		return TC_NEXT;
	source = bypass_lookup(&packet, packet.source);
	/* The kernel would drop it, were it not for accept_local (user/steering.c). */
	if (bypass_sources(source) & SIDESTEP_FROM_LOCAL) {
		count(SIDESTEP_SPOOFED);
		return TC_ACT_SHOT;
	}
	inbound_record(&packet, source);
	return TC_NEXT;
}

SEC("tc")
int dev_egress(struct __sk_buff *skb)
{
	struct packet packet = {};
	__u32 verdict;

	verdict = judge_frame(skb, &packet, 1);
	switch (verdict) {
	case SIDESTEP_LOCAL:
	case SIDESTEP_BRIDGE:
	case SIDESTEP_LINK:
		count(verdict);
		return TC_NEXT;
	case SIDESTEP_REPLY:
	case SIDESTEP_OWN:
	case SIDESTEP_PASS_UDP:
		/* Counted on lo, which these came through. */
		return TC_NEXT;
	}
	count(SIDESTEP_GUARD_DROPS);
	return TC_ACT_SHOT;
}

SEC("tc")
int bridge_ingress(struct __sk_buff *skb)
{
	struct packet packet = {};
	__u32 verdict;

	verdict = judge_frame(skb, &packet, 0);
	switch (verdict) {
	case SIDESTEP_STEER_TCP:
		if (packet.opening)
			flow_record(&packet);
		/* fall through */
	case SIDESTEP_STEER_DNS:
		/* Counted where it is assigned. No route, no netfilter and no rp_filter of the
		 * host's has a say in the way to the proxy. */
		return bpf_redirect_peer(config_veth_ifindex, 0);
	case SIDESTEP_LOCAL:
	case SIDESTEP_BRIDGE:
	case SIDESTEP_LINK:
	case SIDESTEP_REPLY:
	case SIDESTEP_PASS_UDP:
		count(verdict);
		return TC_NEXT;
	}
	count(verdict);
	return TC_ACT_SHOT;
}

SEC("tc")
int bridge_egress(struct __sk_buff *skb)
{
	struct packet packet = {};

	/* The proxy's answers are not what came from outside. */
	if (skb->ingress_ifindex != config_veth_ifindex && packet_parse(skb, &packet) == PACKET_IP)
		inbound_record(&packet, bypass_lookup(&packet, packet.source));
	return TC_NEXT;
}

SEC("tc")
int veth_ingress(struct __sk_buff *skb)
{
	struct bpf_redir_neigh neighbour = {};
	struct sidestep_bypass *bypass;
	struct packet packet = {};

	if (packet_parse(skb, &packet) != PACKET_IP)
		return TC_ACT_SHOT;
	bypass = bypass_lookup(&packet, packet.destination);
	if (!bypass || !bypass->ifindex)
		return TC_ACT_SHOT;
	if (packet.protocol == IPPROTO_UDP && answer_from_dns_port(skb, &packet) < 0)
		return TC_ACT_SHOT;
	if (packet.ipv4) {
		neighbour.nh_family = AF_INET;
		__builtin_memcpy(&neighbour.ipv4_nh, packet.destination + 12, 4);
	} else {
		neighbour.nh_family = AF_INET6;
		__builtin_memcpy(neighbour.ipv6_nh, packet.destination, 16);
	}
	return bpf_redirect_neigh(bypass->ifindex, &neighbour, sizeof(neighbour), 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
