/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Refuses a packet, so that its sender fails at once. A denied packet becomes the ICMP error that a
 * router with a policy sends ("administratively prohibited"). A SYN for which nobody listens
 * becomes an RST.
 */
#ifndef SIDESTEP_REFUSE_H
#define SIDESTEP_REFUSE_H

#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "budget.h"
#include "denial.h"
#include "judge.h"
#include "maps.h"
#include "packet.h"
#include "tcp_header.h"

/* The same value has the same meaning for TCX (TCX_NEXT) and clsact (TC_ACT_UNSPEC). */
#define TC_NEXT	    (-1)
#define TC_ACT_SHOT 2

/* Values of skb->pkt_type (linux/if_packet.h). */
#define PACKET_BROADCAST 1
#define PACKET_MULTICAST 2

/* RFC 792, RFC 1812 section 5.2.7.1: communication administratively prohibited. */
#define ICMP_UNREACHABLE 3
#define ICMP_PROHIBITED	 13
/* RFC 4443 section 3.1: the same. */
#define ICMPV6_UNREACHABLE   1
#define ICMPV6_PROHIBITED    1
#define DONT_FRAGMENT	     0x4000
#define INTERNETWORK_CONTROL 0xc0 /* RFC 1812 section 4.3.2.5: the precedence of an ICMP error */
#define REFUSAL_TTL	     64
/* The longest IPv4 header and 8 bytes, or an IPv6 header, some extension headers and 8 bytes. */
#define QUOTE_MAX 96

/* At most 1000 answers in any second: 900 at this interval, and those that may be saved up. */
#define REFUSAL_INTERVAL_NS (1000000000ULL / 900)
#define REFUSAL_SAVED	    100

struct icmp_unreachable {
	__u8 type, code;
	__sum16 checksum;
	__be32 unused;
};

struct refusal4 {
	struct iphdr ip;
	struct icmp_unreachable icmp;
	__u8 quote[QUOTE_MAX];
};

struct refusal6 {
	struct ipv6hdr ip;
	struct icmp_unreachable icmp;
	__u8 quote[QUOTE_MAX];
};

/* RFC 9293 section 3.1 */
struct reset4 {
	struct iphdr ip;
	struct tcp_header tcp;
};

struct reset6 {
	struct ipv6hdr ip;
	struct tcp_header tcp;
};

/* The answer is built here, for the reason given at the map `packets`. */
struct refusal {
	struct refusal4 ipv4;
	struct refusal6 ipv6;
	struct reset4 reset4;
	struct reset6 reset6;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct refusal);
} refusals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BUDGETS);
	__type(key, __u32);
	__type(value, struct budget);
} budgets SEC(".maps");

/* Takes one answer from the namespace's budget. Returns 0 if there is none. */
static __noinline int refusal_take(__u32 netns)
{
	__u32 slot = netns & (BUDGETS - 1);
	struct budget *budget = bpf_map_lookup_elem(&budgets, &slot);

	return budget && budget_take(budget, REFUSAL_INTERVAL_NS, REFUSAL_SAVED);
}

/* Can @address be a host's? It is one of @packet's. */
static __always_inline int is_unicast(const struct packet *packet, const __u8 address[16])
{
	const __u32 *words = (const __u32 *)address;

	if (packet->ipv4)
		return address[12] != 0 && address[12] < 224; /* RFC 1122 section 3.2.1.3 */
	return address[0] != 0xff && (words[0] | words[1] | words[2] | words[3]) != 0;
}

/* May the packet be answered with an ICMP error (RFC 1122 section 3.2.2, RFC 4443 section 2.4)? It
 * is no TCP: that is never denied, but steered. */
static __always_inline int may_refuse(struct __sk_buff *skb, __u32 netns,
				      const struct packet *packet)
{
	/* A tag leads to a network where nobody knows the answer's address. */
	if (skb->vlan_present || skb->pkt_type == PACKET_BROADCAST ||
	    skb->pkt_type == PACKET_MULTICAST)
		return 0;
	if (packet->later_fragment || !is_unicast(packet, packet->source) ||
	    !is_unicast(packet, packet->destination))
		return 0;
	switch (packet->protocol) {
	case IPPROTO_TCP:
		return 0;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return packet->opening;
	case IPPROTO_UDP:
		return udp_policy(netns) != SIDESTEP_UDP_DROP;
	}
	return 1;
}

static __always_inline __sum16 checksum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__sum16)~sum;
}

static __always_inline __u32 checksum_add(const void *bytes, __u32 size, __u32 sum)
{
	return (__u32)bpf_csum_diff(NULL, 0, (__be32 *)(long)bytes, size, sum);
}

/* Copies the packet's first bytes to @quote, which is zero. Returns their number, or 0. */
static __always_inline __u32 quote_read(struct __sk_buff *skb, __u8 quote[QUOTE_MAX])
{
	__u64 size = skb->len;

	if (size < ETHERNET_SIZE + sizeof(struct iphdr))
		return 0;
	size -= ETHERNET_SIZE;
	barrier_var(size);
	if (size > QUOTE_MAX)
		size = QUOTE_MAX;
	return bpf_skb_load_bytes(skb, ETHERNET_SIZE, quote, size) < 0 ? 0 : size;
}

/* Replaces the packet by @size bytes of @answer. Negative: no memory. */
static __always_inline int packet_replace(struct __sk_buff *skb, const void *answer, __u32 size)
{
	if (bpf_skb_change_tail(skb, ETHERNET_SIZE + size, 0) < 0)
		return -1;
	return (int)bpf_skb_store_bytes(skb, ETHERNET_SIZE, answer, size, BPF_F_RECOMPUTE_CSUM);
}

/* The header of an IPv4 answer to @packet without its checksum. @size: of what follows, bytes. */
static __always_inline void answer_ip4(struct iphdr *ip, const struct packet *packet, __u8 protocol,
				       __u32 size)
{
	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tot_len = bpf_htons(sizeof(*ip) + size);
	ip->frag_off = bpf_htons(DONT_FRAGMENT);
	ip->ttl = REFUSAL_TTL;
	ip->protocol = protocol;
	__builtin_memcpy(&ip->saddr, packet->destination + 12, 4);
	__builtin_memcpy(&ip->daddr, packet->source + 12, 4);
}

static __always_inline void answer_ip6(struct ipv6hdr *ip, const struct packet *packet,
				       __u8 protocol, __u32 size)
{
	ip->version = 6;
	ip->payload_len = bpf_htons(size);
	ip->nexthdr = protocol;
	ip->hop_limit = REFUSAL_TTL;
	__builtin_memcpy(&ip->saddr, packet->destination, 16);
	__builtin_memcpy(&ip->daddr, packet->source, 16);
}

/* The sum of a pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1). @addresses: both, @bytes
 * in all. @size fits in 16 bits. */
static __always_inline __u32 pseudo_header(const void *addresses, __u32 bytes, __u8 protocol,
					   __u32 size)
{
	return checksum_add(addresses, bytes, (__u32)bpf_htons(size) + bpf_htons(protocol));
}

static __always_inline int turn_around4(struct __sk_buff *skb, const struct packet *packet,
					struct refusal4 *answer)
{
	__u32 quoted;

	__builtin_memset(answer, 0, sizeof(*answer));
	quoted = quote_read(skb, answer->quote);
	if (!quoted)
		return -1;
	answer_ip4(&answer->ip, packet, IPPROTO_ICMP, sizeof(answer->icmp) + quoted);
	answer->ip.tos = INTERNETWORK_CONTROL;
	answer->ip.check = checksum_fold(checksum_add(&answer->ip, sizeof(answer->ip), 0));
	answer->icmp.type = ICMP_UNREACHABLE;
	answer->icmp.code = ICMP_PROHIBITED;
	answer->icmp.checksum = checksum_fold(
		checksum_add(&answer->icmp, sizeof(answer->icmp) + sizeof(answer->quote), 0));
	return packet_replace(skb, answer, sizeof(answer->ip) + sizeof(answer->icmp) + quoted);
}

static __always_inline int turn_around6(struct __sk_buff *skb, const struct packet *packet,
					struct refusal6 *answer)
{
	__u32 quoted, sum;

	__builtin_memset(answer, 0, sizeof(*answer));
	quoted = quote_read(skb, answer->quote);
	if (!quoted)
		return -1;
	answer_ip6(&answer->ip, packet, IPPROTO_ICMPV6, sizeof(answer->icmp) + quoted);
	answer->icmp.type = ICMPV6_UNREACHABLE;
	answer->icmp.code = ICMPV6_PROHIBITED;
	sum = pseudo_header(&answer->ip.saddr, 32, IPPROTO_ICMPV6, sizeof(answer->icmp) + quoted);
	answer->icmp.checksum = checksum_fold(
		checksum_add(&answer->icmp, sizeof(answer->icmp) + sizeof(answer->quote), sum));
	return packet_replace(skb, answer, sizeof(answer->ip) + sizeof(answer->icmp) + quoted);
}

/* Exchanges the frame's addresses. */
static __always_inline int frame_turn(struct __sk_buff *skb)
{
	__u8 addresses[12]; /* destination, source */

	if (bpf_skb_load_bytes(skb, 0, addresses + 6, 6) < 0 ||
	    bpf_skb_load_bytes(skb, 6, addresses, 6) < 0)
		return -1;
	return (int)bpf_skb_store_bytes(skb, 0, addresses, sizeof(addresses), 0);
}

/*
 * Hands an ICMP error for a socket that is bound to a device to that device. The kernel finds such
 * a socket only by the device that the error comes in by (__udp4_lib_err()); for IPv6 the route's
 * device counts. The device takes a broadcast as its own, whatever its address is.
 */
static __always_inline int refuse_bound4(struct __sk_buff *skb, __u32 ifindex)
{
	__u8 broadcast[6];

	__builtin_memset(broadcast, 0xff, sizeof(broadcast));
	if (bpf_skb_store_bytes(skb, 0, broadcast, sizeof(broadcast), 0) < 0)
		return TC_ACT_SHOT;
	return (int)bpf_redirect(ifindex, BPF_F_INGRESS);
}

/*
 * Answers the packet, which is denied, if the rules of ICMP and the budget allow. The answer seems
 * to come from the address that was asked, where the kernel looks for the socket. Returns the
 * program's result. @place: enum judge_place, not AT_HOST.
 */
__noinline int refuse(struct __sk_buff *skb, __u32 netns, __u32 place)
{
	const struct packet *packet = packet_scratch(PACKET_FRAME);
	const struct bpf_sock *sk = skb->sk;
	__u32 zero = 0, device = sk ? sk->bound_dev_if : 0;
	struct refusal *answer = bpf_map_lookup_elem(&refusals, &zero);

	if (!packet || !answer || packet_read(skb) != PACKET_IP ||
	    !may_refuse(skb, netns, packet) || !refusal_take(netns))
		return TC_ACT_SHOT;
	if ((packet->ipv4 ? turn_around4(skb, packet, &answer->ipv4)
			  : turn_around6(skb, packet, &answer->ipv6)) < 0)
		return TC_ACT_SHOT;
	count(netns, SIDESTEP_REFUSED);
	/* On lo it goes on, and its route leads to this namespace. */
	if (place == AT_LO)
		return packet->ipv4 && device ? refuse_bound4(skb, device) : TC_NEXT;
	if (frame_turn(skb) < 0)
		return TC_ACT_SHOT;
	return (int)bpf_redirect(skb->ifindex, place == AT_DEVICE ? BPF_F_INGRESS : 0);
}

/* RFC 9293 section 3.10.7.1: the answer of a closed port to a SYN. Data of a SYN is not
 * acknowledged (RFC 7413). Negative: the frame ends too early. */
static __always_inline int reset_fill(struct __sk_buff *skb, const struct packet *packet,
				      struct tcp_header *tcp)
{
	struct tcp_header syn;

	if (packet_load(skb, packet->transport, &syn, sizeof(syn)) < 0)
		return -1;
	tcp->source = syn.destination;
	tcp->destination = syn.source;
	tcp->acknowledgement = bpf_htonl(bpf_ntohl(syn.sequence) + 1);
	tcp->size = sizeof(*tcp) / 4 << 4;
	tcp->flags = TCP_RST | TCP_ACK;
	return 0;
}

static __always_inline int reset4(struct __sk_buff *skb, const struct packet *packet,
				  struct reset4 *answer)
{
	__u32 sum;

	__builtin_memset(answer, 0, sizeof(*answer));
	if (reset_fill(skb, packet, &answer->tcp) < 0)
		return -1;
	answer_ip4(&answer->ip, packet, IPPROTO_TCP, sizeof(answer->tcp));
	answer->ip.check = checksum_fold(checksum_add(&answer->ip, sizeof(answer->ip), 0));
	sum = pseudo_header(&answer->ip.saddr, 8, IPPROTO_TCP, sizeof(answer->tcp));
	answer->tcp.checksum = checksum_fold(checksum_add(&answer->tcp, sizeof(answer->tcp), sum));
	return packet_replace(skb, answer, sizeof(*answer));
}

static __always_inline int reset6(struct __sk_buff *skb, const struct packet *packet,
				  struct reset6 *answer)
{
	__u32 sum;

	__builtin_memset(answer, 0, sizeof(*answer));
	if (reset_fill(skb, packet, &answer->tcp) < 0)
		return -1;
	answer_ip6(&answer->ip, packet, IPPROTO_TCP, sizeof(answer->tcp));
	sum = pseudo_header(&answer->ip.saddr, 32, IPPROTO_TCP, sizeof(answer->tcp));
	answer->tcp.checksum = checksum_fold(checksum_add(&answer->tcp, sizeof(answer->tcp), sum));
	return packet_replace(skb, answer, sizeof(*answer));
}

/*
 * Turns the SYN that packet_read() parsed into an RST, because nobody listens for it. The kernel
 * would drop it in silence: it sends no RST from an IPv4 address that is not its own. On lo it
 * finds the socket by the SYN's route, also one that is bound to a device. Returns the program's
 * result. @place: AT_LO or AT_BRIDGE.
 */
__noinline int refuse_syn(struct __sk_buff *skb, __u32 netns, __u32 place)
{
	const struct packet *packet = packet_scratch(PACKET_FRAME);
	__u32 zero = 0;
	struct refusal *answer = bpf_map_lookup_elem(&refusals, &zero);

	count(netns, SIDESTEP_ASSIGN_ERRORS);
	denial_note(skb, netns, SIDESTEP_ASSIGN_ERRORS, SIDESTEP_STEER_TCP, place == AT_LO);
	if (!packet || !answer)
		return TC_ACT_SHOT;
	if ((packet->ipv4 ? reset4(skb, packet, &answer->reset4)
			  : reset6(skb, packet, &answer->reset6)) < 0)
		return TC_ACT_SHOT;
	count(netns, SIDESTEP_REFUSED);
	if (place == AT_LO)
		return TC_NEXT;
	return frame_turn(skb) < 0 ? TC_ACT_SHOT : (int)bpf_redirect(skb->ifindex, 0);
}

/* Ends a packet with this verdict, which does not let it pass. Returns the program's result. */
static __always_inline int deny(struct __sk_buff *skb, __u32 netns, __u32 verdict, __u32 place)
{
	denial_note(skb, netns, place == AT_DEVICE ? SIDESTEP_GUARD_DROPS : verdict, verdict,
		    place != AT_BRIDGE);
	if (verdict != SIDESTEP_DENY_UDP && verdict != SIDESTEP_DENY_PROTOCOL)
		return TC_ACT_SHOT;
	return refuse(skb, netns, place);
}

#endif
