/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Parses a frame for the TC programs. Everything is read with bpf_skb_load_bytes() or at fixed
 * offsets: variable arithmetic on packet pointers would require CAP_PERFMON.
 * @link is explained in plain.h.
 */
#ifndef SIDESTEP_PACKET_H
#define SIDESTEP_PACKET_H

#include "vmlinux.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "decide.h"
#include "maps.h"
#include "plain.h"

/* All headers are in the first bytes of a frame. One whose headers are longer counts as malformed.
 */
#define HEADERS_SIZE 256

/* RFC 8200 sets no limit; hosts send one or two. A packet with more counts as malformed. */
#define EXTENSIONS_MAX 4
/* The same for options of IPv4. */
#define OPTIONS_MAX 8

/* RFC 791 section 3.1 */
#define OPTION_END	    0
#define OPTION_NOP	    1
#define OPTION_LOOSE_ROUTE  131
#define OPTION_STRICT_ROUTE 137

#define UDP_CHECKSUM_OFFSET 6

/* Key of the map `fragments`: a datagram. */
struct fragment_key {
	__u8 source[16];
	__u8 destination[16];
	__u32 netns;
	__u32 id; /* as it stands in the header */
	__u32 protocol;
};

struct packet {
	__u8 source[16]; /* IPv4 as ::ffff:a.b.c.d; network byte order */
	__u8 destination[16];
	__u32 transport;   /* offset of the transport header from the frame's start, bytes */
	__u16 source_port; /* host byte order; ICMP echo: the identifier in both */
	__u16 destination_port;
	__u8 protocol;
	__u8 ipv4;
	__u8 later_fragment;
	__u8 first_fragment; /* of several */
	__u8 syn;	     /* TCP SYN, also with ACK */
	__u8 opening;	     /* TCP SYN without ACK or ICMP echo request, never a reply */
	__u8 icmp_type;	     /* ICMP and ICMPv6 only */
	/* Keys for the map `inbound` are built here. On the stack, the verifier before Linux 6.8
	 * takes their fields for spilled registers. Without CAP_PERFMON it then rejects a write
	 * next to one. */
	struct sidestep_flow_key flow KEY_ALIGNED;
	struct fragment_key fragment;	  /* for the same reason; .id is the packet's */
	struct bpf_redir_neigh neighbour; /* likewise, for bpf_redirect_neigh() */
	struct sidestep_denial denial;	  /* likewise; its process also serves for `openers` */
};

enum packet_slot {
	PACKET_FRAME,
	PACKET_QUOTED, /* the packet that an ICMP error quotes */
	PACKET_SLOTS,
};

/*
 * Holds the parsed packet. With the packet on the stack, the verifier follows each path of the
 * parser to the program's end, and loading takes 20 times as long. A value from a map may be
 * anything to the verifier. No other program of ours interrupts one on the same CPU: egress runs
 * with softirqs off, and ingress is a softirq.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PACKET_SLOTS);
	__type(key, __u32);
	__type(value, struct packet);
} packets SEC(".maps");

static __always_inline struct packet *packet_scratch(__u32 slot)
{
	__u64 key = word_pair(slot, 0); /* by 8 bytes, see maps.h */

	return bpf_map_lookup_elem(&packets, &key);
}

enum packet_kind {
	PACKET_IP,
	PACKET_ARP,
	PACKET_OTHER, /* neither IP nor ARP */
	PACKET_MALFORMED,
};

static __always_inline void address_map4(__u8 to[16], __be32 address)
{
	__u32 *words = (__u32 *)to;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = address;
}

/* Copies an address by words, which the compiler does only where it knows the alignment. */
static __always_inline void address_copy(void *to, const void *from)
{
	const __u64 *words = from;
	__u64 *copy = to;

	copy[0] = words[0];
	copy[1] = words[1];
}

/* The IPv4 address that @address, ::ffff:a.b.c.d, stands for. */
static __always_inline __be32 packet_address4(const __u8 address[16])
{
	return ((const __be32 *)address)[3];
}

static __always_inline int address_same(const __u8 a[16], const __u8 b[16])
{
	const __u64 *left = (const __u64 *)a, *right = (const __u64 *)b;

	return left[0] == right[0] && left[1] == right[1];
}

/* Negative: the bytes are not there, or not in the headers. */
static __always_inline int packet_load(struct __sk_buff *skb, __u32 offset, void *to, __u32 size)
{
	if (offset > HEADERS_SIZE - size)
		return -1;
	return (int)bpf_skb_load_bytes(skb, offset, to, size);
}

static __always_inline int packet_parse_ipv4(struct __sk_buff *skb, struct packet *packet,
					     __u32 offset)
{
	struct iphdr header;

	if (packet_load(skb, offset, &header, sizeof(header)) < 0)
		return -1;
	if (header.version != 4 || header.ihl < 5)
		return -1;
	address_map4(packet->source, header.saddr);
	address_map4(packet->destination, header.daddr);
	packet->ipv4 = 1;
	packet->protocol = header.protocol;
	packet->later_fragment = (header.frag_off & bpf_htons(0x1fff)) != 0;
	packet->first_fragment = (header.frag_off & bpf_htons(0x3fff)) == bpf_htons(0x2000);
	packet->fragment.id = header.id;
	packet->transport = offset + header.ihl * 4;
	return 0;
}

/* Returns the size of the IPv4 option at @offset, or 0 for the end of all options. Negative: it is
 * malformed, or a source route. */
__noinline int option_size(struct __sk_buff *skb, __u32 offset)
{
	__u8 option[2]; /* type and length */

	if (packet_load(skb, offset, option, sizeof(option)) < 0)
		return -1;
	switch (option[0]) {
	case OPTION_END:
		return 0;
	case OPTION_NOP:
		return 1;
	case OPTION_LOOSE_ROUTE:
	case OPTION_STRICT_ROUTE:
		return -1;
	}
	return option[1] < sizeof(option) ? -1 : option[1];
}

/*
 * Looks for a source route among the options of an IPv4 packet. With one, the destination in the
 * header is only the first host on the way. Negative: there is one, or the options are malformed.
 */
static __always_inline int packet_check_options(struct __sk_buff *skb, __u32 offset, __u32 end)
{
	int i;

#pragma clang loop unroll(full)
	for (i = 0; i < OPTIONS_MAX; i++) {
		int size = offset < end ? option_size(skb, offset) : 0;

		if (size <= 0)
			return size;
		offset += size;
	}
	return offset < end ? -1 : 0;
}

/* Parses the fixed header only. */
static __always_inline int packet_parse_ipv6_plain(struct __sk_buff *skb, struct packet *packet,
						   __u32 offset)
{
	struct ipv6hdr header;

	if (packet_load(skb, offset, &header, sizeof(header)) < 0 || header.version != 6)
		return -1;
	if (address_is_mapped(&header.saddr) || address_is_mapped(&header.daddr))
		return -1;
	address_copy(packet->source, &header.saddr);
	address_copy(packet->destination, &header.daddr);
	packet->ipv4 = 0;
	packet->later_fragment = 0;
	packet->first_fragment = 0;
	packet->protocol = header.nexthdr;
	packet->transport = offset + sizeof(header);
	return 0;
}

/* Skips the extension header (RFC 8200 section 4) of the packet in PACKET_FRAME at its `transport`.
 * A routing header with segments left is malformed, because the destination in front of it is not
 * the last one. Negative: it is malformed. */
__noinline int extension_skip(struct __sk_buff *skb)
{
	struct packet *packet = packet_scratch(PACKET_FRAME);
	__u8 extension[8];

	if (!packet || packet_load(skb, packet->transport, extension, sizeof(extension)) < 0)
		return -1;
	if (packet->protocol == IPPROTO_ROUTING && extension[3])
		return -1;
	if (packet->protocol == IPPROTO_FRAGMENT) {
		packet->later_fragment = extension[2] || (extension[3] & 0xf8);
		packet->first_fragment = !packet->later_fragment && (extension[3] & 1);
		__builtin_memcpy(&packet->fragment.id, extension + 4, 4);
		packet->transport += 8;
	} else {
		packet->transport += (extension[1] + 1) * 8;
	}
	packet->protocol = extension[0];
	return 0;
}

static __always_inline int extension_follows(const struct packet *packet)
{
	return !packet->later_fragment && is_extension(packet->protocol);
}

/* Parses up to the transport header, or up to a later fragment. @packet: PACKET_FRAME. */
static __always_inline int packet_parse_ipv6(struct __sk_buff *skb, struct packet *packet,
					     __u32 offset)
{
	int i;

	if (packet_parse_ipv6_plain(skb, packet, offset) < 0)
		return -1;
		/* Unrolled: without CAP_PERFMON the verifier also follows mispredicted branches.
		 * The one that ends a loop would never be done. */
#pragma clang loop unroll(full)
	for (i = 0; i < EXTENSIONS_MAX && extension_follows(packet); i++)
		if (extension_skip(skb) < 0)
			return -1;
	return extension_follows(packet) ? -1 : 0;
}

static __always_inline int packet_is_icmp_error(const struct packet *packet)
{
	/* RFC 792: unreachable, time exceeded, parameter problem; RFC 4443: 1 to 4. */
	if (packet->protocol == IPPROTO_ICMP)
		return packet->icmp_type == 3 || packet->icmp_type == 11 || packet->icmp_type == 12;
	return packet->protocol == IPPROTO_ICMPV6 && packet->icmp_type >= 1 &&
	       packet->icmp_type <= 4;
}

static __always_inline int packet_is_echo_request(const struct packet *packet)
{
	if (packet->protocol == IPPROTO_ICMP)
		return packet->icmp_type == 8;
	return packet->protocol == IPPROTO_ICMPV6 && packet->icmp_type == 128;
}

/* Reads the transport header of the packet in @slot, whose IP header was parsed. Negative: the
 * frame ends too early. */
__noinline int packet_parse_transport(struct __sk_buff *skb, __u32 slot)
{
	struct packet *packet = packet_scratch(slot);
	__be16 ports[2];
	__u8 bytes[8];

	if (!packet)
		return -1;
	packet->source_port = 0;
	packet->destination_port = 0;
	packet->syn = 0;
	packet->opening = 0;
	packet->icmp_type = 0;
	if (packet->later_fragment)
		return 0;
	switch (packet->protocol) {
	case IPPROTO_TCP:
		if (packet_load(skb, packet->transport + TCP_FLAGS_OFFSET, bytes, 1) < 0)
			return -1;
		packet->syn = (bytes[0] & TCP_SYN) != 0;
		packet->opening = packet->syn && !(bytes[0] & TCP_ACK);
		/* fall through */
	case IPPROTO_UDP:
		if (packet_load(skb, packet->transport, ports, sizeof(ports)) < 0)
			return -1;
		packet->source_port = bpf_ntohs(ports[0]);
		packet->destination_port = bpf_ntohs(ports[1]);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (packet_load(skb, packet->transport, bytes, sizeof(bytes)) < 0)
			return -1;
		packet->icmp_type = bytes[0];
		packet->opening = packet_is_echo_request(packet);
		packet->source_port = packet->destination_port = (bytes[4] << 8) | bytes[5];
		break;
	}
	return 0;
}

/* The type of the frame by its own link-layer header, or without one the kernel's. Negative: the
 * frame ends too early. */
static __always_inline int packet_type(struct __sk_buff *skb, __be16 *ret_type, __u32 link)
{
	if (link)
		return packet_load(skb, ETHERTYPE_OFFSET, ret_type, sizeof(*ret_type));
	*ret_type = (__be16)skb->protocol;
	return 0;
}

/* Fills @packet when it returns PACKET_IP. */
static __always_inline enum packet_kind packet_parse(struct __sk_buff *skb, struct packet *packet,
						     __u32 link)
{
	int error;
	__be16 type;

	if (!packet || packet_type(skb, &type, link) < 0)
		return PACKET_MALFORMED;
	if (type != bpf_htons(ETHERTYPE_IPV4) && type != bpf_htons(ETHERTYPE_IPV6) &&
	    (!link || type != bpf_htons(ETHERTYPE_ARP)))
		return PACKET_OTHER;
	if (type != skb->protocol)
		return PACKET_MALFORMED;
	if (type == bpf_htons(ETHERTYPE_ARP))
		return PACKET_ARP;
	if (type == bpf_htons(ETHERTYPE_IPV6)) {
		error = packet_parse_ipv6(skb, packet, link);
	} else {
		error = packet_parse_ipv4(skb, packet, link);
		if (error == 0)
			error = packet_check_options(skb, link + sizeof(struct iphdr),
						     packet->transport);
	}
	if (error < 0 || packet_parse_transport(skb, PACKET_FRAME) < 0)
		return PACKET_MALFORMED;
	return PACKET_IP;
}

/*
 * Copies the headers out of memory that the sender shares (PACKET_TX_RING). Otherwise it could
 * change them after the verdict. Headers of plain frames are copies already. Negative: no memory.
 */
static __always_inline int packet_settle(struct __sk_buff *skb, __u32 link)
{
	struct address_pair pair;

	if (packet_plain(skb, &pair, link))
		return 0;
	return (int)bpf_skb_pull_data(skb, skb->len < HEADERS_SIZE ? skb->len : HEADERS_SIZE);
}

/*
 * Fills PACKET_FRAME when it returns PACKET_IP. Returns enum packet_kind. It is global, like
 * judge(): the verifier checks a global function once, not once for each path to a call.
 */
__noinline int packet_read(struct __sk_buff *skb)
{
	return packet_settle(skb, ETHERNET_SIZE) < 0
		       ? PACKET_MALFORMED
		       : packet_parse(skb, packet_scratch(PACKET_FRAME), ETHERNET_SIZE);
}

/* Does likewise with a frame of an L3 device. */
__noinline int packet_read_l3(struct __sk_buff *skb)
{
	return packet_settle(skb, 0) < 0 ? PACKET_MALFORMED
					 : packet_parse(skb, packet_scratch(PACKET_FRAME), 0);
}

static __always_inline int packet_read_at(struct __sk_buff *skb, __u32 link)
{
	return link ? packet_read(skb) : packet_read_l3(skb);
}

#endif
