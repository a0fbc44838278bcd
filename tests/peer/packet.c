// SPDX-License-Identifier: Apache-2.0
/* Sends packets from raw and AF_PACKET sockets, which the guard has to stop. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/if_packet.h>

#include "peer.h"

struct packet {
	uint8_t bytes[1400];
	size_t size;
};

/* Finds the source address that a socket would use for this destination. */
static int source_for(const struct options *options, const struct sockaddr_in *peer,
		      struct in_addr *source)
{
	struct sockaddr_in local = {0};
	socklen_t size = sizeof(local);
	struct ifreq request = {0};
	int fd, error = 0;

	if (options->source)
		return inet_pton(AF_INET, options->source, source) == 1 ? 0 : -EINVAL;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (options->device) {
		snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", options->device);
		if (ioctl(fd, SIOCGIFADDR, &request) < 0)
			error = -errno;
		memcpy(&local, &request.ifr_addr, sizeof(local));
	} else if (connect(fd, (const void *)peer, sizeof(*peer)) < 0 ||
		   getsockname(fd, (void *)&local, &size) < 0) {
		error = -errno;
	}
	*source = local.sin_addr;
	close(fd);
	return error;
}

static void ip_header(struct packet *packet, uint8_t protocol, struct in_addr source,
		      struct in_addr destination, struct iphdr *ip)
{
	*ip = (struct iphdr) {.version = 4,
			      .ihl = 5,
			      .ttl = 64,
			      .id = htons(4711),
			      .protocol = protocol,
			      .tot_len = htons((uint16_t)packet->size),
			      .saddr = source.s_addr,
			      .daddr = destination.s_addr};
	ip->check = sum_end(sum_add(0, ip, sizeof(*ip)));
}

/* --mode unreachable: an ICMP error to the peer. It quotes a datagram from --quoted, or from the
 * peer, and the peer's port to our address and --source-port. The text follows. */
static int error_build(const struct options *options, const struct sockaddr_in *peer,
		       struct in_addr source, const char *text, struct packet *packet)
{
	struct iphdr *ip = (void *)packet->bytes;
	struct icmphdr *icmp = (void *)(ip + 1);
	struct iphdr *quoted = (void *)(icmp + 1);
	struct udphdr *udp = (void *)(quoted + 1);
	struct in_addr sender = peer->sin_addr;
	size_t behind = sizeof(*icmp) + sizeof(*quoted) + sizeof(*udp) + strlen(text);

	if (options->quoted && inet_pton(AF_INET, options->quoted, &sender) != 1)
		return -EINVAL;
	memcpy(udp + 1, text, strlen(text));
	*udp = (struct udphdr) {.source = peer->sin_port,
				.dest = htons((uint16_t)options->source_port),
				.len = htons((uint16_t)(sizeof(*udp) + strlen(text)))};
	packet->size = sizeof(*quoted) + sizeof(*udp) + strlen(text);
	ip_header(packet, IPPROTO_UDP, sender, source, quoted);
	*icmp = (struct icmphdr) {.type = ICMP_DEST_UNREACH, .code = ICMP_PORT_UNREACH};
	icmp->checksum = sum_end(sum_add(0, icmp, behind));
	packet->size = sizeof(*ip) + behind;
	ip_header(packet, IPPROTO_ICMP, source, peer->sin_addr, ip);
	return 0;
}

/* --mode mapped: a SYN by IPv6 whose addresses are IPv4-mapped (RFC 4291 section 2.5.5.2). */
static int mapped_build(const struct options *options, const struct sockaddr_in *peer,
			struct in_addr source, struct packet *packet)
{
	struct ip6_hdr *ip = (void *)packet->bytes;
	struct tcphdr *tcp = (void *)(ip + 1);

	ip->ip6_flow = htonl(6u << 28);
	ip->ip6_plen = htons(sizeof(*tcp));
	ip->ip6_nxt = IPPROTO_TCP;
	ip->ip6_hlim = 64;
	ip->ip6_src.s6_addr32[2] = ip->ip6_dst.s6_addr32[2] = htonl(0xffff);
	ip->ip6_src.s6_addr32[3] = source.s_addr;
	ip->ip6_dst.s6_addr32[3] = peer->sin_addr.s_addr;
	*tcp = (struct tcphdr) {.source = htons((uint16_t)options->source_port),
				.dest = peer->sin_port,
				.doff = 5,
				.syn = 1};
	packet->size = sizeof(*ip) + sizeof(*tcp);
	return 0;
}

/* --mode syn (default), data (PSH|ACK outside any connection), udp, or one of those above. */
static int packet_build(const struct options *options, const struct sockaddr_in *peer,
			struct packet *packet)
{
	const char *mode = options->mode ? options->mode : "syn";
	const char *text = options->send ? options->send : "peer raw packet";
	bool udp = strcmp(mode, "udp") == 0, syn = strcmp(mode, "syn") == 0;
	size_t header = udp ? sizeof(struct udphdr) : sizeof(struct tcphdr);
	size_t data = syn ? 0 : strlen(text), segment = header + data;
	uint16_t source_port = (uint16_t)(options->source_port ? options->source_port : 40000);
	struct iphdr *ip = (void *)packet->bytes;
	uint8_t *transport = packet->bytes + sizeof(*ip);
	struct in_addr source;
	uint32_t sum = 0;
	int error = source_for(options, peer, &source);

	if (error)
		return error;
	if (data > 1000)
		return -EINVAL;
	memset(packet, 0, sizeof(*packet));
	if (strcmp(mode, "unreachable") == 0)
		return error_build(options, peer, source, text, packet);
	if (strcmp(mode, "mapped") == 0)
		return mapped_build(options, peer, source, packet);
	if (!udp && !syn && strcmp(mode, "data") != 0)
		return -EINVAL;
	packet->size = sizeof(*ip) + segment;
	ip_header(packet, udp ? IPPROTO_UDP : IPPROTO_TCP, source, peer->sin_addr, ip);
	memcpy(transport + header, text, data);
	sum = sum_add(sum, &ip->saddr, 8) + ip->protocol + (uint32_t)segment;
	if (udp) {
		struct udphdr *to = (void *)transport;

		to->source = htons(source_port);
		to->dest = peer->sin_port;
		to->len = htons((uint16_t)segment);
		to->check = sum_end(sum_add(sum, transport, segment));
	} else {
		struct tcphdr *to = (void *)transport;

		to->source = htons(source_port);
		to->dest = peer->sin_port;
		to->seq = htonl(0x5e9);
		to->doff = 5;
		to->window = htons(65535);
		to->syn = syn;
		to->ack = !syn;
		to->psh = !syn;
		to->check = sum_end(sum_add(sum, transport, segment));
	}
	return 0;
}

static int packet_to(const struct options *options, struct sockaddr_in *peer, struct packet *packet)
{
	struct sockaddr_storage address;
	uint16_t port;

	if (options->arg_count != 2 || !port_parse(options->args[1], &port) ||
	    !literal_parse(options->args[0], port, &address) || address.ss_family != AF_INET)
		return -EINVAL;
	memcpy(peer, &address, sizeof(*peer));
	return packet_build(options, peer, packet);
}

int command_raw_send(const struct options *options)
{
	long count = options->count > 0 ? options->count : 1, sent = 0;
	struct sockaddr_in peer;
	struct packet packet = {0};
	int error = packet_to(options, &peer, &packet), fd;

	if (error == -EINVAL)
		return 2;
	if (error)
		return report_sent("source", 0, count, error);
	/* IPPROTO_RAW implies IP_HDRINCL. */
	fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0)
		return report_sent("socket", 0, count, errno);
	if (options->device && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, options->device,
					  (socklen_t)strlen(options->device) + 1) < 0)
		error = errno;
	if (!error && options->mark) {
		uint32_t mark = (uint32_t)options->mark;

		if (setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0)
			error = errno;
	}
	for (; !error && sent < count; sent++)
		if (sendto(fd, packet.bytes, packet.size, 0, (void *)&peer, sizeof(peer)) < 0)
			error = errno;
	close(fd);
	return report_sent("send", sent - (error && sent), count, error);
}

int command_packet_send(const struct options *options)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_IP),
				 .sll_halen = 6};
	long count = options->count > 0 ? options->count : 1, sent = 0;
	struct in_addr gateway;
	struct sockaddr_in peer;
	struct packet packet = {0};
	int error = options->device ? packet_to(options, &peer, &packet) : -EINVAL, fd;

	if (error == -EINVAL)
		return 2;
	if (error)
		return report_sent("source", 0, count, error);
	if (options->gateway ? inet_pton(AF_INET, options->gateway, &gateway) != 1
			     : !gateway_of(options->device, &gateway))
		return report_sent("gateway", 0, count, ENETUNREACH);
	error = mac_of(gateway, options->device, deadline_from(options, 10), to.sll_addr);
	if (error)
		return report_sent("neighbour", 0, count, error);
	to.sll_ifindex = (int)if_nametoindex(options->device);
	if (packet.bytes[0] >> 4 == 6)
		to.sll_protocol = htons(ETH_P_IPV6);
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return report_sent("socket", 0, count, errno);
	for (; !error && sent < count; sent++)
		if (sendto(fd, packet.bytes, packet.size, 0, (void *)&to, sizeof(to)) < 0)
			error = errno;
	close(fd);
	return report_sent("send", sent - (error && sent), count, error);
}
