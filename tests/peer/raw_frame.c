// SPDX-License-Identifier: Apache-2.0
/* Builds the frames of `peer raw` from the inside out, each header before what is there already. */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>
#include <linux/if_packet.h>

#include "peer.h"

#define TEXT_MAX   600
#define OPTION_SRR 7   /* a type, a length, a pointer and one address, bytes */
#define OFFSET_800 100 /* in units of 8 bytes */

/* Addresses in network byte order, IPv4 in the first 4 bytes. */
struct ends {
	int family;
	uint8_t source[16], target[16], via[16];
	bool has_via;
};

/* The packet so far, and the protocol of its first header. */
struct layers {
	struct frame *frame;
	uint8_t protocol;
};

static void prepend(struct layers *layers, const void *header, size_t size)
{
	struct frame *frame = layers->frame;

	memmove(frame->bytes + size, frame->bytes, frame->size);
	memcpy(frame->bytes, header, size);
	frame->size += size;
}

static void prepend_ipv4(struct layers *layers, const struct ends *ends, const uint8_t *to,
			 const uint8_t *option, size_t option_size, uint16_t offset)
{
	size_t size = sizeof(struct iphdr) + (option_size + 3) / 4 * 4;
	uint8_t header[60] = {0};
	struct iphdr *ip = (void *)header;

	*ip = (struct iphdr) {.version = 4,
			      .ihl = (unsigned int)size / 4,
			      .ttl = 64,
			      .id = htons(4711),
			      .frag_off = htons(offset),
			      .protocol = layers->protocol,
			      .tot_len = htons((uint16_t)(size + layers->frame->size))};
	memcpy(&ip->saddr, ends->source, 4);
	memcpy(&ip->daddr, to, 4);
	if (option_size)
		memcpy(header + sizeof(*ip), option, option_size);
	ip->check = sum_end(sum_add(0, header, size));
	prepend(layers, header, size);
	layers->protocol = IPPROTO_IPIP;
	memcpy(layers->frame->outer, to, 4);
}

static void prepend_ipv6(struct layers *layers, const struct ends *ends, const uint8_t *to)
{
	struct ip6_hdr ip = {
		.ip6_ctlun.ip6_un1 = {.ip6_un1_flow = htonl(6u << 28),
				      .ip6_un1_plen = htons((uint16_t)layers->frame->size),
				      .ip6_un1_nxt = layers->protocol,
				      .ip6_un1_hlim = 64}};

	memcpy(&ip.ip6_src, ends->source, 16);
	memcpy(&ip.ip6_dst, to, 16);
	prepend(layers, &ip, sizeof(ip));
	layers->protocol = IPPROTO_IPV6;
	memcpy(layers->frame->outer, to, 16);
}

static void prepend_ip(struct layers *layers, const struct ends *ends, const uint8_t *to)
{
	if (ends->family == AF_INET)
		prepend_ipv4(layers, ends, to, NULL, 0, 0);
	else
		prepend_ipv6(layers, ends, to);
}

/* Prepends an IPv6 extension header, whose first byte is set here. */
static void prepend_extension(struct layers *layers, uint8_t protocol, uint8_t *header, size_t size)
{
	header[0] = layers->protocol;
	prepend(layers, header, size);
	layers->protocol = protocol;
}

static void transport_udp(struct layers *layers, const char *text, uint16_t from, uint16_t to)
{
	struct udphdr udp = {.source = htons(from),
			     .dest = htons(to),
			     .len = htons((uint16_t)(sizeof(udp) + strlen(text)))};

	prepend(layers, text, strlen(text));
	prepend(layers, &udp, sizeof(udp));
	layers->protocol = IPPROTO_UDP;
}

static void transport_tcp(struct layers *layers, uint16_t from, uint16_t to)
{
	struct tcphdr tcp = {.source = htons(from),
			     .dest = htons(to),
			     .seq = htonl(0x5e9),
			     .doff = 5,
			     .syn = 1,
			     .window = htons(65535)};

	prepend(layers, &tcp, sizeof(tcp));
	layers->protocol = IPPROTO_TCP;
}

static void transport_echo(struct layers *layers, const char *text, bool ipv6)
{
	struct icmphdr icmp = {.type = ipv6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO,
			       .un.echo.id = htons(4711)};

	prepend(layers, text, strlen(text));
	prepend(layers, &icmp, sizeof(icmp));
	layers->protocol = ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
}

/* Sets the checksum of the transport header, which is all that there is yet. Its destination is the
 * final one. */
static void transport_sum(struct layers *layers, const struct ends *ends)
{
	struct frame *frame = layers->frame;
	size_t length = ends->family == AF_INET ? 4 : 16;
	size_t offset = layers->protocol == IPPROTO_TCP	  ? offsetof(struct tcphdr, check)
			: layers->protocol == IPPROTO_UDP ? offsetof(struct udphdr, check)
							  : offsetof(struct icmphdr, checksum);
	uint32_t sum = 0;
	uint16_t value;

	if (layers->protocol != IPPROTO_ICMP)
		sum = sum_add(sum_add(layers->protocol + (uint32_t)frame->size, ends->source,
				      length),
			      ends->target, length);
	value = sum_end(sum_add(sum, frame->bytes, frame->size));
	memcpy(frame->bytes + offset, &value, sizeof(value));
}

/* A source route by --via to the target (RFC 791 section 3.1). */
static void wrap_source_route(struct layers *layers, const struct ends *ends, uint8_t type)
{
	uint8_t option[OPTION_SRR] = {type, OPTION_SRR, 4};

	memcpy(option + 3, ends->target, 4);
	prepend_ipv4(layers, ends, ends->via, option, sizeof(option), 0);
}

/* A routing header by --via to the target. RFC 8754 (type 4) lists both, the last one first. */
static void wrap_routing(struct layers *layers, const struct ends *ends, uint8_t type)
{
	uint8_t header[8 + 32] = {0, type == 4 ? 4 : 2, type, 1, type == 4};

	memcpy(header + 8, ends->target, 16);
	memcpy(header + 24, ends->via, 16);
	prepend_extension(layers, IPPROTO_ROUTING, header, type == 4 ? 40 : 24);
	prepend_ipv6(layers, ends, ends->via);
}

/* IPv6: an extension header of options, which says nothing. */
static void wrap_options(struct layers *layers, const struct ends *ends, uint8_t protocol)
{
	uint8_t header[8] = {0, 0, 1, 4}; /* PadN */

	prepend_extension(layers, protocol, header, sizeof(header));
	prepend_ipv6(layers, ends, ends->target);
}

/* IPv6: a whole packet in a fragment, in a fragment. */
static void wrap_fragments(struct layers *layers, const struct ends *ends)
{
	uint8_t inner[8] = {0, 0, 0, 0, 0, 0, 0, 1}, outer[8] = {0, 0, 0, 0, 0, 0, 0, 2};

	prepend_extension(layers, IPPROTO_FRAGMENT, inner, sizeof(inner));
	prepend_extension(layers, IPPROTO_FRAGMENT, outer, sizeof(outer));
	prepend_ipv6(layers, ends, ends->target);
}

/* The last fragment of a packet, without the first. */
static void wrap_later(struct layers *layers, const struct ends *ends)
{
	uint8_t header[8] = {0, 0, OFFSET_800 * 8 >> 8, OFFSET_800 * 8 & 0xff};

	if (ends->family == AF_INET) {
		prepend_ipv4(layers, ends, ends->target, NULL, 0, OFFSET_800);
		return;
	}
	prepend_extension(layers, IPPROTO_FRAGMENT, header, sizeof(header));
	prepend_ipv6(layers, ends, ends->target);
}

/* A packet to the target inside one to --via. */
static void wrap_tunnel(struct layers *layers, const struct ends *ends, bool gre)
{
	uint16_t header[2] = {0, htons(ends->family == AF_INET ? ETH_P_IP : ETH_P_IPV6)};

	prepend_ip(layers, ends, ends->target);
	if (gre) {
		prepend(layers, header, sizeof(header));
		layers->protocol = IPPROTO_GRE;
	}
	prepend_ip(layers, ends, ends->via);
}

/* Prepends all headers of IP for --mode. Returns false for a wrong mode. */
static bool wrap(struct layers *layers, const struct ends *ends, const char *mode)
{
	static const struct {
		const char *name;
		int family; /* 0: both */
		bool needs_via;
	} modes[] = {
		{"udp", 0, false},
		{"syn", 0, false},
		{"echo", 0, false},
		{"lsrr", AF_INET, true},
		{"ssrr", AF_INET, true},
		{"rh0", AF_INET6, true},
		{"rh2", AF_INET6, true},
		{"rh4", AF_INET6, true},
		{"hopopts", AF_INET6, false},
		{"dstopts", AF_INET6, false},
		{"fragments", AF_INET6, false},
		{"later", 0, false},
		{"ipip", 0, true},
		{"gre", 0, true},
	};
	size_t i = 0;

	while (i < sizeof(modes) / sizeof(modes[0]) && strcmp(mode, modes[i].name) != 0)
		i++;
	if (i == sizeof(modes) / sizeof(modes[0]) ||
	    (modes[i].family && modes[i].family != ends->family) ||
	    (modes[i].needs_via && !ends->has_via))
		return false;
	if (strcmp(mode, "lsrr") == 0)
		wrap_source_route(layers, ends, IPOPT_LSRR);
	else if (strcmp(mode, "ssrr") == 0)
		wrap_source_route(layers, ends, IPOPT_SSRR);
	else if (mode[0] == 'r')
		wrap_routing(layers, ends, (uint8_t)(mode[2] - '0'));
	else if (strcmp(mode, "hopopts") == 0)
		wrap_options(layers, ends, IPPROTO_HOPOPTS);
	else if (strcmp(mode, "dstopts") == 0)
		wrap_options(layers, ends, IPPROTO_DSTOPTS);
	else if (strcmp(mode, "fragments") == 0)
		wrap_fragments(layers, ends);
	else if (strcmp(mode, "later") == 0)
		wrap_later(layers, ends);
	else if (modes[i].needs_via)
		wrap_tunnel(layers, ends, strcmp(mode, "gre") == 0);
	else
		prepend_ip(layers, ends, ends->target);
	return true;
}

static bool address_bytes(const char *text, int family, uint8_t bytes[16])
{
	return inet_pton(family, text, bytes) == 1;
}

/* Finds the source address that a socket would use. */
static bool source_find(const struct sockaddr_storage *peer, uint8_t bytes[16])
{
	struct sockaddr_storage local;
	socklen_t size = sizeof(local);
	int fd = socket(peer->ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool found = fd >= 0 && connect(fd, (const void *)peer, address_size(peer)) == 0 &&
		     getsockname(fd, (void *)&local, &size) == 0;

	if (fd >= 0)
		close(fd);
	if (found && peer->ss_family == AF_INET)
		memcpy(bytes, &((struct sockaddr_in *)&local)->sin_addr, 4);
	else if (found)
		memcpy(bytes, &((struct sockaddr_in6 *)&local)->sin6_addr, 16);
	return found;
}

static bool ends_find(const struct options *options, uint16_t port, struct ends *ends)
{
	struct sockaddr_storage peer;

	if (!literal_parse(options->args[0], port, &peer))
		return false;
	ends->family = peer.ss_family;
	ends->has_via = options->via != NULL;
	if (!address_bytes(options->args[0], ends->family, ends->target) ||
	    (options->via && !address_bytes(options->via, ends->family, ends->via)))
		return false;
	return options->source ? address_bytes(options->source, ends->family, ends->source)
			       : source_find(&peer, ends->source);
}

/* Prepends the Ethernet header with its tag. */
static void prepend_link(struct layers *layers, const struct options *options, const uint8_t to[6],
			 const uint8_t from[6])
{
	struct frame *frame = layers->frame;
	uint16_t type = frame->family == AF_INET ? ETH_P_IP : ETH_P_IPV6;
	uint8_t header[RAW_LINK];
	size_t size = 12;

	if (options->ethertype >= 0)
		type = (uint16_t)options->ethertype;
	memcpy(header, to, 6);
	memcpy(header + 6, from, 6);
	if (options->vlan >= 0) {
		header[size++] = (uint8_t)(options->vlan_type >> 8);
		header[size++] = (uint8_t)options->vlan_type;
		header[size++] = (uint8_t)(options->vlan >> 8);
		header[size++] = (uint8_t)options->vlan;
	}
	header[size++] = (uint8_t)(type >> 8);
	header[size++] = (uint8_t)type;
	prepend(layers, header, size);
	frame->network = size;
}

bool frame_build(const struct options *options, const uint8_t to[6], const uint8_t from[6],
		 struct frame *frame)
{
	const char *mode = options->mode ? options->mode : "udp";
	const char *text = options->send ? options->send : "peer raw frame";
	uint16_t source_port = (uint16_t)(options->source_port ? options->source_port : 40000);
	struct layers layers = {.frame = frame};
	struct ends ends = {0};
	uint16_t port;

	*frame = (struct frame) {0};
	if (options->arg_count != 2 || !port_parse(options->args[1], &port) ||
	    !ends_find(options, port, &ends) || strlen(text) > TEXT_MAX)
		return false;
	frame->family = ends.family;
	if (strcmp(mode, "syn") == 0)
		transport_tcp(&layers, source_port, port);
	else if (strcmp(mode, "echo") == 0)
		transport_echo(&layers, text, ends.family == AF_INET6);
	else
		transport_udp(&layers, text, source_port, port);
	transport_sum(&layers, &ends);
	if (!wrap(&layers, &ends, mode))
		return false;
	prepend_link(&layers, options, to, from);
	return true;
}
