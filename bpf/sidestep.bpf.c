// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The BPF programs. A network namespace runs either the sidecar's programs or bridge mode's.
 *
 * In sidecar mode they run in the application's namespace. Policy routing sends the application's
 * packets through lo.
 *   - steer (sk_lookup) assigns the application's connections to the proxy's listener.
 *   - lo_egress (TC, egress of lo) sends out replies of inbound connections and the proxy's own
 *     packets.
 *   - dev_ingress (TC, ingress of ethN) records inbound flows.
 *   - dev_egress (TC, egress of ethN) is the guard: it drops packets that avoided the steering.
 *   - l3_ingress and l3_egress do the same on devices whose frames have no link-layer header, such
 *     as tun, WireGuard and ppp.
 *   - lo_ingress (TC, ingress of lo) tells steer the namespace of the packet. It runs where one
 *     load serves several namespaces (the agent).
 *   - shut (TC) drops all packets of a device whose programs could not be loaded.
 *   - bridge_ingress and bridge_egress (TC, on inner devices) do for containers inside what they do
 *     in bridge mode. They hand steered packets to lo.
 *
 * In bridge mode they run on the host. The proxy's listeners are in a namespace of their own behind
 * a veth.
 *   - bridge_ingress (TC, ingress of the bridge) redirects containers' outgoing flows to the veth.
 *   - bridge_egress (TC, egress of the bridge) records inbound flows.
 *   - veth_ingress (TC, ingress of the veth) carries the proxy's answers back to the bridge.
 *   - steer (sk_lookup, in the proxy's namespace) does the same as in sidecar mode.
 *
 * All of them decide with sidestep_decide(). TC programs pass a packet with TCX_NEXT, so that other
 * programs behind them run too.
 */
#include "bypass.h"
#include "inbound.h"
#include "inner.h"
#include "judge.h"
#include "listener.h"
#include "maps.h"
#include "netns.h"
#include "opener.h"
#include "owner.h"
#include "packet.h"
#include "refuse.h"
#include "route.h"

/* Bridge mode: the host's end of the veth. Sidecar mode: 0. The loader sets it before the load. */
const volatile __u32 config_veth_ifindex = 0;

#ifndef SIDESTEP_SHARED
/* Does the kernel have bpf_sk_lookup.ingress_ifindex (Linux 5.17)? The loader sets it before the
 * load. */
const volatile __u32 config_lookup_has_ifindex = 0;
#endif

#ifdef SIDESTEP_SHARED
/* Both addresses are in network byte order. */
static __always_inline int address_equal(const __u8 a[16], const __u32 b[4])
{
	const __u32 *words = (const __u32 *)a;

	return words[0] == b[0] && words[1] == b[1] && words[2] == b[2] && words[3] == b[3];
}

/*
 * Takes the namespace that lo_ingress has just noted on this CPU, because an sk_lookup program
 * cannot ask for its own. From lo_ingress to the socket's lookup, the stack runs without a break. A
 * note serves one lookup. Returns 0 if the packet did not come over lo: it is not to be steered.
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
 * Did the packet reach lo by lo's own route? A socket that is bound to a device uses that device's
 * route (table 9302), and the kernel then reports the device as the input interface. bridge_ingress
 * hands over packets of inner containers, whose addresses are not this namespace's.
 */
static __always_inline int came_by_lo(const struct bpf_sk_lookup *ctx, __u32 netns)
{
#ifndef SIDESTEP_SHARED
	if (!config_lookup_has_ifindex)
		return 0;
#endif
	return ctx->ingress_ifindex == LOOPBACK_IFINDEX &&
	       (bypass_sources(bypass_lookup4(netns, ctx->remote_ip4)) & SIDESTEP_FROM_LOCAL);
}

/* Returns a socket that the caller releases, or NULL. */
static __always_inline struct bpf_sock *listener_find(const struct bpf_sk_lookup *ctx, __u32 netns,
						      __u64 listener)
{
	__u64 key = listener_key(netns, SIDESTEP_LISTENER_TCP4_LO);
	struct bpf_sock *found;

	if (listener == SIDESTEP_LISTENER_TCP4 && came_by_lo(ctx, netns)) {
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
	__u64 verdict, slot;
	__u32 netns;
	long error;

	if (ipv4) {
		source[2] = destination[2] = bpf_htonl(0xffff);
		source[3] = ctx->remote_ip4;
		destination[3] = ctx->local_ip4;
		/* Without the barriers, the compiler loads both families' fields through one
		 * computed pointer, which the verifier rejects for a context. */
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
	/* The application connects to a server of its own or of a neighbour. */
	if (bypass &&
	    !((bypass->sources & SIDESTEP_EXCEPT_DNS) && ctx->local_port == SIDESTEP_DNS_PORT)) {
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
		/* The packet must not reach an application's socket that is bound to any address.
		 */
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
 * Local and steered packets stay on lo, where a stray packet of a closed steered connection gets an
 * RST. Replies, the proxy's own packets and permitted UDP leave.
 */
SEC("tc")
int lo_egress(struct __sk_buff *skb)
{
	__u32 netns = netns_of(skb), owner = owner_of_sender(skb), verdict;
	const struct packet *packet;
	int kind;

	/* The proxy's DNS answers are local too, but their source port must be rewritten. */
	if (owner != SIDESTEP_OWNER_PROXY && owner != SIDESTEP_OWNER_ANSWERS) {
		verdict = forget(judge_plain(skb, netns, AT_LO, ETHERNET_SIZE), skb->len);
		if (verdict == SIDESTEP_LOCAL)
			return TC_NEXT;
		if (verdict == SIDESTEP_STEER_TCP) {
			opener_note_tcp(skb);
			return TC_NEXT;
		}
	}
	kind = packet_read(skb);
	packet = packet_scratch(PACKET_FRAME);
	if (kind == PACKET_MALFORMED || !packet) {
		count(netns, SIDESTEP_DENY_MALFORMED);
		denial_note(skb, netns, SIDESTEP_DENY_MALFORMED, SIDESTEP_DENY_MALFORMED, 1);
		return TC_ACT_SHOT;
	}
	if (kind != PACKET_IP)
		return TC_NEXT;
	verdict = (__u32)judge(skb, netns, AT_LO);
	switch (verdict) {
	case SIDESTEP_LOCAL:
		if (owner == SIDESTEP_OWNER_ANSWERS && answer_from_dns_port(skb, packet) < 0)
			return TC_ACT_SHOT;
		return TC_NEXT;
	case SIDESTEP_STEER_TCP:
		if (packet->opening && nobody_listens(netns, packet->ipv4 ? SIDESTEP_LISTENER_TCP4
									  : SIDESTEP_LISTENER_TCP6))
			return refuse_syn(skb, netns, AT_LO);
		if (packet->opening)
			opener_note_tcp(skb);
		return TC_NEXT; /* steer counts it */
	case SIDESTEP_STEER_DNS:
		if (nobody_listens(netns, packet->ipv4 ? SIDESTEP_LISTENER_DNS4
						       : SIDESTEP_LISTENER_DNS6)) {
			count(netns, SIDESTEP_ASSIGN_ERRORS);
			denial_note(skb, netns, SIDESTEP_ASSIGN_ERRORS, SIDESTEP_STEER_DNS, 1);
			return refuse(skb, netns, AT_LO);
		}
		opener_note_dns(skb, netns);
		return TC_NEXT;
	}
	count(netns, verdict);
	switch (verdict) {
	case SIDESTEP_BRIDGE:
	case SIDESTEP_LINK:
		/* The subnet is in the map, but its routing rule is not yet or no longer there. */
	case SIDESTEP_REPLY:
	case SIDESTEP_OWN:
	case SIDESTEP_PASS_UDP:
		return send_out(skb, netns);
	}
	return deny(skb, netns, verdict, AT_LO);
}

#ifdef SIDESTEP_SHARED
/* Notes the packet and its namespace for netns_of_lookup(). */
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

/* Deletes a note that no lookup took, so that an incoming packet is never steered. */
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

static __always_inline int record_arrival(struct __sk_buff *skb, __u32 link)
{
	const struct sidestep_bypass *source;
	__u32 netns = netns_of(skb);
	struct packet *packet;

	arrival_forget();
	if (inbound_ignores(skb, netns, link))
		return TC_NEXT;
	if (packet_read_at(skb, link) != PACKET_IP)
		return TC_NEXT;
	packet = packet_scratch(PACKET_FRAME);
	if (!packet)
		return TC_NEXT;
	source = bypass_lookup(netns, packet, packet->source);
	/* The kernel would drop it if accept_local were off (user/net/device_settings.h). */
	if (bypass_sources(source) & SIDESTEP_FROM_LOCAL) {
		count(netns, SIDESTEP_SPOOFED);
		if (link)
			denial_note(skb, netns, SIDESTEP_SPOOFED, SIDESTEP_SPOOFED, 0);
		else
			denial_note_l3(skb, netns, SIDESTEP_SPOOFED, SIDESTEP_SPOOFED, 0);
		return TC_ACT_SHOT;
	}
	inbound_record(skb, netns, packet, source, 1);
	/* The answers go by way of lo, whose MTU the socket sees. */
	if (packet->syn && !source)
		mss_clamp_answers(skb, netns);
	return TC_NEXT;
}

SEC("tc")
int dev_ingress(struct __sk_buff *skb)
{
	return record_arrival(skb, ETHERNET_SIZE);
}

SEC("tc")
int l3_ingress(struct __sk_buff *skb)
{
	return record_arrival(skb, 0);
}

/* Does the guard let a packet of this verdict go? Counts it either way. */
static __always_inline int guard_passes(__u32 netns, __u32 verdict)
{
	switch (verdict) {
	case SIDESTEP_BRIDGE:
		COUNT_INLINE(netns, SIDESTEP_BRIDGE);
		return 1;
	case SIDESTEP_LINK:
		count(netns, verdict);
		return 1;
	case SIDESTEP_REPLY:
	case SIDESTEP_OWN:
	case SIDESTEP_PASS_UDP:
		/* lo_egress has counted it. */
		return 1;
	}
	/* Among them is SIDESTEP_LOCAL: the kernel sends nothing for an own address here. A
	 * neighbour that advertises a prefix chooses half of such an address, and a router beyond
	 * the device may know another host by it. */
	count(netns, SIDESTEP_GUARD_DROPS);
	return 0;
}

SEC("tc")
int dev_egress(struct __sk_buff *skb)
{
	__u32 netns = netns_of(skb), verdict = judge_frame(skb, netns, AT_DEVICE);

	return guard_passes(netns, verdict) ? TC_NEXT : deny(skb, netns, verdict, AT_DEVICE);
}

/* Answers nobody: refuse() turns Ethernet frames around. */
SEC("tc")
int l3_egress(struct __sk_buff *skb)
{
	__u32 netns = netns_of(skb), verdict = judge_l3(skb, netns);

	if (guard_passes(netns, verdict))
		return TC_NEXT;
	denial_note_l3(skb, netns, SIDESTEP_GUARD_DROPS, verdict, 1);
	return TC_ACT_SHOT;
}

/* Closes a device that lacks its own programs. */
SEC("tc")
int shut(struct __sk_buff *skb)
{
	count(netns_of(skb), SIDESTEP_GUARD_DROPS);
	return TC_ACT_SHOT;
}

SEC("tc")
int bridge_ingress(struct __sk_buff *skb)
{
	__u32 netns = netns_of(skb), verdict;

	arrival_forget();
	verdict = judge_frame(skb, netns, AT_BRIDGE);
	switch (verdict) {
	case SIDESTEP_STEER_TCP:
	case SIDESTEP_STEER_DNS:
		/* steer counts it. The host's routes, netfilter and rp_filter do not see the packet
		 * on its way to the proxy. */
		if (config_veth_ifindex)
			return bpf_redirect_peer(config_veth_ifindex, 0);
		return hand_to_lo(skb, netns);
	case SIDESTEP_REPLY:
	case SIDESTEP_PASS_UDP:
		/* The routing rules of an inner device let no other packet out. */
		if (!config_veth_ifindex)
			skb->mark = SIDESTEP_OUT_MARK;
		count(netns, verdict);
		return TC_NEXT;
	case SIDESTEP_LOCAL:
	case SIDESTEP_BRIDGE:
	case SIDESTEP_LINK:
		count(netns, verdict);
		return TC_NEXT;
	}
	count(netns, verdict);
	return deny(skb, netns, verdict, AT_BRIDGE);
}

SEC("tc")
int bridge_egress(struct __sk_buff *skb)
{
	__u32 netns = netns_of(skb);
	struct packet *packet;

	/* The proxy's answers open no inbound flow. Packets of this namespace come from no device.
	 */
	if (skb->ingress_ifindex == config_veth_ifindex)
		return config_veth_ifindex ? TC_NEXT : leave_as_answer(skb);
	packet = packet_scratch(PACKET_FRAME);
	if (packet && packet_read(skb) == PACKET_IP)
		inbound_record(skb, netns, packet, bypass_lookup(netns, packet, packet->source), 0);
	return TC_NEXT;
}

SEC("tc")
int veth_ingress(struct __sk_buff *skb)
{
	struct sidestep_bypass *bypass;
	__u32 netns = netns_of(skb);
	struct packet *packet = packet_scratch(PACKET_FRAME);

	if (!packet || packet_read(skb) != PACKET_IP)
		return TC_ACT_SHOT;
	bypass = bypass_lookup(netns, packet, packet->destination);
	if (!bypass || !bypass->ifindex) {
		count(netns, SIDESTEP_DENY_ANSWER);
		denial_note(skb, netns, SIDESTEP_DENY_ANSWER, SIDESTEP_DENY_ANSWER, 0);
		return TC_ACT_SHOT;
	}
	if (packet->protocol == IPPROTO_UDP && !packet->later_fragment &&
	    answer_from_dns_port(skb, packet) < 0)
		return TC_ACT_SHOT;
	neighbour_set(packet);
	return bpf_redirect_neigh(bypass->ifindex, &packet->neighbour, sizeof(packet->neighbour),
				  0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
