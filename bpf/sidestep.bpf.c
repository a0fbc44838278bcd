// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Sidecar mode, in the application's network namespace. Policy routing brings what the application
 * sends to lo; there
 *   steer       (sk_lookup)           gives its connections to the proxy's listener,
 *   lo_egress   (TC, egress of lo)    lets go what must leave: replies of inbound connections and
 *                                     the proxy's own;
 *   dev_ingress (TC, ingress of ethN) remembers what came from outside,
 *   dev_egress  (TC, egress of ethN)  is the guard: what walked around all this is dropped,
 *   lo_ingress  (TC, ingress of lo)   tells steer whose packet it gets, where one load serves
 * several namespaces (the host's agent).
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

#include <asm-generic/errno-base.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <sidestep.h>
#include "judge.h"

/* Same value and meaning for TCX (TCX_NEXT) and clsact (TC_ACT_UNSPEC). */
#define TC_NEXT	    (-1)
#define TC_ACT_SHOT 2

#define AF_INET	 2
#define AF_INET6 10

/* Bridge mode: the host's end of the veth. Set by the loader before load. */
const volatile __u32 config_veth_ifindex = 0;

#ifndef SIDESTEP_SHARED
/* bpf_sk_lookup.ingress_ifindex is of Linux 5.17. Set by the loader before load. */
const volatile __u32 config_lookup_has_ifindex = 0;
#endif

/* Sends a packet that the policy routing brought to lo out where the main table says. */
static __always_inline int send_out(__u32 netns, const struct packet *packet)
{
	struct bpf_redir_neigh neighbour = {};
	struct sidestep_route *route;

	if (packet->ipv4) {
		struct sidestep_prefix4 key = {.prefix_length = SIDESTEP_NETNS_BITS + 32,
					       .netns = netns};

		__builtin_memcpy(key.address, packet->destination + 12, sizeof(key.address));
		route = bpf_map_lookup_elem(&route4, &key);
		if (!route)
			return TC_ACT_SHOT;
		neighbour.nh_family = AF_INET;
		__builtin_memcpy(&neighbour.ipv4_nh,
				 route->has_gateway ? route->gateway : packet->destination + 12,
				 sizeof(neighbour.ipv4_nh));
	} else {
		struct sidestep_prefix6 key = {.prefix_length = SIDESTEP_NETNS_BITS + 128,
					       .netns = netns};

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

#ifdef SIDESTEP_SHARED
/* Both in network byte order. */
static __always_inline int address_equal(const __u8 a[16], const __u32 b[4])
{
	const __u32 *words = (const __u32 *)a;

	return words[0] == b[0] && words[1] == b[1] && words[2] == b[2] && words[3] == b[3];
}

/*
 * Programs of sk_lookup cannot ask for their namespace, but lo_ingress has just noted it, on this
 * CPU: from there to the lookup of the socket is one run through the stack. It is noted for one
 * lookup only. 0: the packet came another way than over lo, and so is nothing to steer.
 */
static __always_inline __u32 netns_of_lookup(const __u32 source[4], const __u32 destination[4])
{
	__u32 zero = 0, netns;
	struct sidestep_arrival *arrival = bpf_map_lookup_elem(&arrivals, &zero);

	if (!arrival)
		return 0;
	netns = arrival->netns;
	arrival->netns = 0;
	return address_equal(arrival->source, source) &&
			       address_equal(arrival->destination, destination)
		       ? netns
		       : 0;
}
#else
static __always_inline __u32 netns_of_lookup(const __u32 source[4], const __u32 destination[4])
{
	__u32 zero = 0;
	const struct sidestep_arrival *arrival = bpf_map_lookup_elem(&arrivals, &zero);

	(void)source;
	(void)destination;
	return arrival && !arrival->searching ? config_netns : 0;
}
#endif

/*
 * Did the policy routing bring the packet to lo by lo's own route? A socket that is bound to a
 * device has a route of that device's (table 9302), and the kernel names it as the input interface.
 */
static __always_inline int came_by_lo(const struct bpf_sk_lookup *ctx)
{
#ifndef SIDESTEP_SHARED
	if (!config_lookup_has_ifindex)
		return 0;
#endif
	return ctx->ingress_ifindex == LOOPBACK_IFINDEX;
}

/* A struct sidestep_listener_key, in one piece: see struct packet, `flow`. */
static __always_inline __u64 listener_key(__u32 netns, __u32 listener)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__u64)listener << 32 | netns;
#else
	return (__u64)netns << 32 | listener;
#endif
}

/* The caller releases it. NULL: there is none. */
static __always_inline struct bpf_sock *listener_find(const struct bpf_sk_lookup *ctx, __u32 netns,
						      __u32 listener)
{
	__u64 key = listener_key(netns, SIDESTEP_LISTENER_TCP4_LO);
	struct bpf_sock *found;

	if (listener == SIDESTEP_LISTENER_TCP4 && came_by_lo(ctx)) {
		found = bpf_map_lookup_elem(&listeners, &key);
		if (found)
			return found;
	}
	key = listener_key(netns, listener);
	return bpf_map_lookup_elem(&listeners, &key);
}

SEC("sk_lookup")
int steer(struct bpf_sk_lookup *ctx)
{
	bool ipv4 = ctx->family == AF_INET;
	__u32 source[4] = {}, destination[4] = {};
	struct sidestep_bypass *bypass;
	struct bpf_sock *listener;
	__u32 netns, verdict, slot;
	long error;

	if (ipv4) {
		source[2] = destination[2] = bpf_htonl(0xffff);
		source[3] = ctx->remote_ip4;
		destination[3] = ctx->local_ip4;
		/* Else the compiler makes one load of both families' by a computed pointer, which
		 * the verifier refuses for a context. */
		barrier_var(source[3]);
		barrier_var(destination[3]);
	} else {
		source[0] = ctx->remote_ip6[0];
		source[1] = ctx->remote_ip6[1];
		source[2] = ctx->remote_ip6[2];
		source[3] = ctx->remote_ip6[3];
		destination[0] = ctx->local_ip6[0];
		destination[1] = ctx->local_ip6[1];
		destination[2] = ctx->local_ip6[2];
		destination[3] = ctx->local_ip6[3];
	}
	netns = netns_of_lookup(source, destination);
	if (!netns)
		return SK_PASS;
	bypass = ipv4 ? bypass_lookup4(netns, destination[3]) : bypass_lookup6(netns, destination);
	/* A connection to a server of the application's own, or of its neighbours'. */
	if (bypass) {
		count(netns, SIDESTEP_LOCAL);
		return SK_PASS;
	}
	if (ctx->protocol == IPPROTO_TCP) {
		verdict = SIDESTEP_STEER_TCP;
		slot = ipv4 ? SIDESTEP_LISTENER_TCP4 : SIDESTEP_LISTENER_TCP6;
	} else if (ctx->local_port == SIDESTEP_DNS_PORT) {
		verdict = SIDESTEP_STEER_DNS;
		slot = ipv4 ? SIDESTEP_LISTENER_DNS4 : SIDESTEP_LISTENER_DNS6;
	} else {
		/* It must not reach a socket of the application's that listens on any address. */
		return SK_DROP;
	}
	listener = listener_find(ctx, netns, slot);
	if (!listener) {
		count(netns, SIDESTEP_ASSIGN_ERRORS);
		return SK_DROP;
	}
	error = bpf_sk_assign(ctx, listener, 0);
	bpf_sk_release(listener);
	if (error < 0) {
		count(netns, SIDESTEP_ASSIGN_ERRORS);
		return SK_DROP;
	}
	count(netns, verdict);
	return SK_PASS;
}

/*
 * Stays on lo: what is local, and what is steered (a packet of a steered connection that nobody
 * expects any more is answered with RST there). Leaves: replies, the proxy's own, and UDP that may.
 */
SEC("tc")
int lo_egress(struct __sk_buff *skb)
{
	__u32 netns = netns_of(skb), owner = sender_owner(skb), verdict;
	const struct packet *packet;
	int kind;

	/* A DNS answer of the proxy's is local, too, but not finished yet. */
	if (owner != SIDESTEP_OWNER_PROXY) {
		verdict = judge_plain(skb, netns, AT_LO);
		if (verdict == SIDESTEP_LOCAL || verdict == SIDESTEP_STEER_TCP)
			return TC_NEXT;
	}
	kind = packet_read(skb);
	packet = packet_scratch(PACKET_FRAME);
	if (kind == PACKET_MALFORMED || !packet) {
		count(netns, SIDESTEP_DENY_MALFORMED);
		return TC_ACT_SHOT;
	}
	if (kind != PACKET_IP)
		return TC_NEXT;
	/* An accepted socket was disconnected, and connects now (connect(2), AF_UNSPEC). */
	if (owner == SIDESTEP_OWNER_INBOUND && packet->opening)
		sender_owner_set(skb, SIDESTEP_OWNER_NONE);
	verdict = (__u32)judge(skb, netns, AT_LO);
	switch (verdict) {
	case SIDESTEP_LOCAL:
		if (owner == SIDESTEP_OWNER_PROXY && packet->protocol == IPPROTO_UDP &&
		    answer_from_dns_port(skb, packet) < 0)
			return TC_ACT_SHOT;
		return TC_NEXT;
	case SIDESTEP_STEER_TCP:
	case SIDESTEP_STEER_DNS:
		return TC_NEXT; /* counted where it is assigned */
	}
	count(netns, verdict);
	switch (verdict) {
	case SIDESTEP_BRIDGE:
	case SIDESTEP_LINK:
		/* The map has the subnet, the routing rule not yet or no more. */
	case SIDESTEP_REPLY:
	case SIDESTEP_OWN:
	case SIDESTEP_PASS_UDP:
		return send_out(netns, packet);
	}
	return TC_ACT_SHOT;
}

#ifdef SIDESTEP_SHARED
/* Notes for netns_of_lookup() whose packet comes next. */
SEC("tc")
int lo_ingress(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct sidestep_arrival *arrival = bpf_map_lookup_elem(&arrivals, &zero);
	__be32 addresses[2];

	if (!arrival)
		return TC_NEXT;
	arrival->netns = 0;
	switch (skb->protocol) {
	case bpf_htons(ETHERTYPE_IPV4):
		if (bpf_skb_load_bytes(skb, ETHERNET_SIZE + offsetof(struct iphdr, saddr),
				       addresses, sizeof(addresses)) < 0)
			return TC_NEXT;
		address_map4(arrival->source, addresses[0]);
		address_map4(arrival->destination, addresses[1]);
		break;
	case bpf_htons(ETHERTYPE_IPV6):
		if (bpf_skb_load_bytes(skb, ETHERNET_SIZE + offsetof(struct ipv6hdr, saddr),
				       arrival->source, sizeof(arrival->source)) < 0 ||
		    bpf_skb_load_bytes(skb, ETHERNET_SIZE + offsetof(struct ipv6hdr, daddr),
				       arrival->destination, sizeof(arrival->destination)) < 0)
			return TC_NEXT;
		break;
	default:
		return TC_NEXT;
	}
	arrival->netns = netns_of(skb);
	return TC_NEXT;
}

/* What comes in by a device is never to be steered: not even by a note that nobody took. */
static __always_inline void arrival_forget(void)
{
	__u32 zero = 0;
	struct sidestep_arrival *arrival;

	arrival = bpf_map_lookup_elem(&arrivals, &zero);
	if (arrival)
		arrival->netns = 0;
}
#else
static __always_inline void arrival_forget(void)
{
}
#endif

SEC("tc")
int dev_ingress(struct __sk_buff *skb)
{
	const struct sidestep_bypass *source;
	__u32 netns = netns_of(skb);
	struct packet *packet;

	arrival_forget();
	if (arrive_plain(skb, netns))
		return TC_NEXT;
	if (packet_read(skb) != PACKET_IP)
		return TC_NEXT;
	packet = packet_scratch(PACKET_FRAME);
	if (!packet)
		return TC_NEXT;
	source = bypass_lookup(netns, packet, packet->source);
	/* The kernel would drop it, were it not for accept_local (user/steering/steering.c). */
	if (bypass_sources(source) & SIDESTEP_FROM_LOCAL) {
		count(netns, SIDESTEP_SPOOFED);
		return TC_ACT_SHOT;
	}
	inbound_record(skb, netns, packet, source, 1);
	return TC_NEXT;
}

SEC("tc")
int dev_egress(struct __sk_buff *skb)
{
	__u32 netns = netns_of(skb), verdict;

	verdict = judge_frame(skb, netns, AT_DEVICE);
	switch (verdict) {
	case SIDESTEP_BRIDGE:
		count_bridge(netns);
		return TC_NEXT;
	case SIDESTEP_LOCAL:
	case SIDESTEP_LINK:
		count(netns, verdict);
		return TC_NEXT;
	case SIDESTEP_REPLY:
	case SIDESTEP_OWN:
	case SIDESTEP_PASS_UDP:
		/* Counted on lo, which these came through. */
		return TC_NEXT;
	}
	count(netns, SIDESTEP_GUARD_DROPS);
	return TC_ACT_SHOT;
}

SEC("tc")
int bridge_ingress(struct __sk_buff *skb)
{
	__u32 netns = netns_of(skb), verdict;

	verdict = judge_frame(skb, netns, AT_BRIDGE);
	switch (verdict) {
	case SIDESTEP_STEER_TCP:
	case SIDESTEP_STEER_DNS:
		/* Counted where it is assigned. No route, no netfilter and no rp_filter of the
		 * host's has a say in the way to the proxy. */
		return bpf_redirect_peer(config_veth_ifindex, 0);
	case SIDESTEP_LOCAL:
	case SIDESTEP_BRIDGE:
	case SIDESTEP_LINK:
	case SIDESTEP_REPLY:
	case SIDESTEP_PASS_UDP:
		count(netns, verdict);
		return TC_NEXT;
	}
	count(netns, verdict);
	return TC_ACT_SHOT;
}

SEC("tc")
int bridge_egress(struct __sk_buff *skb)
{
	__u32 netns = netns_of(skb);
	struct packet *packet = packet_scratch(PACKET_FRAME);

	/* The proxy's answers are not what came from outside. */
	if (skb->ingress_ifindex != config_veth_ifindex && packet && packet_read(skb) == PACKET_IP)
		inbound_record(skb, netns, packet, bypass_lookup(netns, packet, packet->source), 0);
	return TC_NEXT;
}

SEC("tc")
int veth_ingress(struct __sk_buff *skb)
{
	struct bpf_redir_neigh neighbour = {};
	struct sidestep_bypass *bypass;
	__u32 netns = netns_of(skb);
	const struct packet *packet = packet_scratch(PACKET_FRAME);

	if (!packet || packet_read(skb) != PACKET_IP)
		return TC_ACT_SHOT;
	bypass = bypass_lookup(netns, packet, packet->destination);
	if (!bypass || !bypass->ifindex)
		return TC_ACT_SHOT;
	if (packet->protocol == IPPROTO_UDP && answer_from_dns_port(skb, packet) < 0)
		return TC_ACT_SHOT;
	if (packet->ipv4) {
		neighbour.nh_family = AF_INET;
		__builtin_memcpy(&neighbour.ipv4_nh, packet->destination + 12, 4);
	} else {
		neighbour.nh_family = AF_INET6;
		__builtin_memcpy(neighbour.ipv6_nh, packet->destination, 16);
	}
	return bpf_redirect_neigh(bypass->ifindex, &neighbour, sizeof(neighbour), 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
