/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reads plain frames for the TC programs, at fixed offsets and without a copy. packet.h reads all
 * others.
 *
 * @link: the size of the link-layer header in front of the packet, a constant of each caller. It is
 * ETHERNET_SIZE, or 0 on an L3 device, whose frames begin with the IP header.
 */
#ifndef SIDESTEP_PLAIN_H
#define SIDESTEP_PLAIN_H

#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "decide.h"
#include "forget.h"

#define ETHERTYPE_IPV4	 0x0800
#define ETHERTYPE_ARP	 0x0806
#define ETHERTYPE_IPV6	 0x86dd
#define ETHERNET_SIZE	 14
#define ETHERTYPE_OFFSET 12 /* its offset in the frame */

#define IPPROTO_HOPOPTS	 0
#define IPPROTO_ICMP	 1
#define IPPROTO_ROUTING	 43
#define IPPROTO_FRAGMENT 44
#define IPPROTO_ICMPV6	 58
#define IPPROTO_DSTOPTS	 60

/* RFC 9293 section 3.1 */
#define TCP_FLAGS_OFFSET 13
#define TCP_SYN		 0x02
#define TCP_RST		 0x04
#define TCP_ACK		 0x10

/*
 * Is it ::ffff:a.b.c.d? No IPv6 packet may carry such an address (RFC 4038 section 4.2), and here
 * it stands for IPv4. So frames with one are malformed, and share no key with an IPv4 frame.
 */
static __always_inline int address_is_mapped(const struct in6_addr *address)
{
	const __be32 *words = address->in6_u.u6_addr32;

	return words[2] == bpf_htonl(0xffff) && !words[1] && !words[0];
}

static __always_inline int is_extension(__u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING ||
	       protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_DSTOPTS;
}

/* Two addresses in network byte order, IPv4 as ::ffff:a.b.c.d. */
struct address_pair {
	__u64 source[2];
	__u64 destination[2];
	__u32 ipv4;
};

/* Returns the second half of ::ffff:a.b.c.d. */
static __always_inline __u64 pair_mapped4(__be32 address)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (__u64)address << 32 | 0xffff0000;
#else
	return 0xffffULL << 32 | address;
#endif
}

static __always_inline __be32 pair_address4(const __u64 mapped[2])
{
	return ((const __be32 *)mapped)[3];
}

/*
 * The transport header of a plain frame: one without options and extension headers, and with enough
 * bytes for packet_parse_transport(), which would read the same. It is read at fixed offsets
 * without a copy. The addresses are read first and suffice for most packets.
 */
struct plain_transport {
	__u64 protocol;
	__u64 fragment;	   /* the first one or a later one */
	__u64 syn;	   /* TCP only: SYN, also with ACK */
	__u64 opening;	   /* TCP only: SYN without ACK */
	__u64 source_port; /* TCP and UDP; host byte order */
	__u64 destination_port;
};

#define PLAIN_TRANSPORT_SIZE (TCP_FLAGS_OFFSET + 1)

/*
 * Does the frame say of itself what the kernel says of it? The receiver goes by the frame, and for
 * a packet socket skb->protocol is what the sender says. @network: behind a checked link-layer
 * header. Without one the version in the IP header is all that the frame says.
 */
static __always_inline int packet_says(const __u8 *network, __u16 ethertype, __u32 link)
{
	return !link || ((const __be16 *)network)[-1] == bpf_htons(ethertype);
}

/* Fills @pair and returns 1 for a plain frame. Returns 0 for another one, which needs
 * packet_parse(). */
static __always_inline int packet_plain(struct __sk_buff *skb, struct address_pair *pair,
					__u32 link)
{
	const __u8 *network = (const __u8 *)(long)skb->data + link;
	const __u8 *end = (const __u8 *)(long)skb->data_end;

	if (skb->protocol == bpf_htons(ETHERTYPE_IPV4)) {
		const struct iphdr *ipv4 = (const void *)network;

		if (network + sizeof(*ipv4) + PLAIN_TRANSPORT_SIZE > end ||
		    !packet_says(network, ETHERTYPE_IPV4, link) || *network != 0x45)
			return 0;
		pair->source[0] = pair->destination[0] = 0;
		pair->source[1] = pair_mapped4(ipv4->saddr);
		pair->destination[1] = pair_mapped4(ipv4->daddr);
		pair->ipv4 = 1;
		/* Without it, the compiler reads both families through one computed pointer. */
		barrier();
		return 1;
	}
	if (skb->protocol == bpf_htons(ETHERTYPE_IPV6)) {
		const struct ipv6hdr *ipv6 = (const void *)network;
		const __u64 *addresses = (const void *)&ipv6->saddr;

		if (network + sizeof(*ipv6) + PLAIN_TRANSPORT_SIZE > end ||
		    !packet_says(network, ETHERTYPE_IPV6, link) || *network >> 4 != 6 ||
		    is_extension(ipv6->nexthdr) || address_is_mapped(&ipv6->saddr) ||
		    address_is_mapped(&ipv6->daddr))
			return 0;
		pair->source[0] = addresses[0];
		pair->source[1] = addresses[1];
		pair->destination[0] = addresses[2];
		pair->destination[1] = addresses[3];
		pair->ipv4 = 0;
		barrier();
		return 1;
	}
	return 0;
}

/* Fills @plain for a frame that packet_plain() accepted. It never returns 0, but the verifier
 * cannot know that. */
static __always_inline int packet_plain_transport(struct __sk_buff *skb, __u32 is_ipv4,
						  struct plain_transport *plain, __u32 link)
{
	const __u8 *network = (const __u8 *)(long)skb->data + link;
	const __u8 *end = (const __u8 *)(long)skb->data_end;
	__be16 source_port, destination_port;
	__u8 flags;

	if (is_ipv4) {
		const struct iphdr *ipv4 = (const void *)network;
		const __u8 *transport = network + sizeof(*ipv4);

		if (transport + PLAIN_TRANSPORT_SIZE > end)
			return 0;
		plain->protocol = ipv4->protocol;
		plain->fragment = (ipv4->frag_off & bpf_htons(0x3fff)) != 0;
		source_port = ((const __be16 *)transport)[0];
		destination_port = ((const __be16 *)transport)[1];
		flags = transport[TCP_FLAGS_OFFSET];
		barrier();
	} else {
		const struct ipv6hdr *ipv6 = (const void *)network;
		const __u8 *transport = network + sizeof(*ipv6);

		if (transport + PLAIN_TRANSPORT_SIZE > end)
			return 0;
		plain->protocol = ipv6->nexthdr;
		plain->fragment = 0;
		source_port = ((const __be16 *)transport)[0];
		destination_port = ((const __be16 *)transport)[1];
		flags = transport[TCP_FLAGS_OFFSET];
		barrier();
	}
	plain->syn = plain->protocol == IPPROTO_TCP && !plain->fragment && (flags & TCP_SYN);
	plain->opening = plain->syn && !(flags & TCP_ACK);
	plain->syn = forget(plain->syn, skb->len);
	plain->opening = forget(plain->opening, skb->len);
	plain->source_port = plain->fragment ? 0 : bpf_ntohs(source_port);
	plain->destination_port = plain->fragment ? 0 : bpf_ntohs(destination_port);
	return 1;
}

#endif
