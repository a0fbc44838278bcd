// SPDX-License-Identifier: Apache-2.0
/* Sends frames of many kinds from sockets of many kinds, as a process with CAP_NET_RAW can. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>

#include "peer.h"

static void destination(const struct frame *frame, struct sockaddr_storage *to)
{
	struct sockaddr_in *ipv4 = (void *)to;
	struct sockaddr_in6 *ipv6 = (void *)to;

	memset(to, 0, sizeof(*to));
	to->ss_family = (sa_family_t)frame->family;
	if (frame->family == AF_INET)
		memcpy(&ipv4->sin_addr, frame->outer, 4);
	else
		memcpy(&ipv6->sin6_addr, frame->outer, 16);
}

/* Sends the rest of the frame behind @offset @count times, and closes the socket. */
static int send_from(int fd, const struct frame *frame, size_t offset, const void *to,
		     socklen_t to_size, long count, long *sent)
{
	int error = fd < 0 ? -errno : 0;

	for (; (!error || error == -ENOBUFS) && count > 0; count--)
		if (sendto(fd, frame->bytes + offset, frame->size - offset, 0, to, to_size) < 0)
			error = -errno; /* ENOBUFS: dropped on the way out */
		else
			(*sent)++;
	if (fd >= 0)
		close(fd);
	return error;
}

static int packet_send(const struct options *options, const struct frame *frame, long count,
		       long *sent)
{
	bool cooked = options->socket && strcmp(options->socket, "datagram") == 0;
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_halen = 6,
				 .sll_ifindex = (int)if_nametoindex(options->device)};
	uint16_t truth;
	int fd, one = 1;

	memcpy(to.sll_addr, frame->bytes, 6);
	memcpy(&truth, frame->bytes + 12, sizeof(truth));
	to.sll_protocol = options->protocol < 0 ? truth : htons((uint16_t)options->protocol);
	fd = socket(AF_PACKET, (cooked ? SOCK_DGRAM : SOCK_RAW) | SOCK_CLOEXEC, 0);
	if (fd >= 0 && options->qdisc_bypass &&
	    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	/* The kernel writes the header of a datagram. */
	return send_from(fd, frame, cooked ? ETHER_HDR_LEN : 0, &to, sizeof(to), count, sent);
}

/* Places the device's checksum at the word in which the destinations HOST and --flip differ, and
 * makes it the word of --flip. Returns its place. */
static uint8_t *checksum_aim(uint8_t *bytes, const struct frame *frame,
			     const struct in6_addr *other)
{
	uint8_t *payload = bytes + frame->network + sizeof(struct ip6_hdr) + sizeof(struct udphdr);
	uint8_t *word = bytes + frame->network + offsetof(struct ip6_hdr, ip6_dst);
	const uint8_t *wanted = other->s6_addr;
	uint16_t sum;
	int i;

	for (i = 0; i < 7 && memcmp(word, wanted, 2) == 0; i++) {
		word += 2;
		wanted += 2;
	}
	/* The payload begins with what the sum lacks. */
	memset(payload, 0, 2);
	sum = sum_end(sum_add(sum_add(0, word - 2, (size_t)(bytes + frame->size - (word - 2))),
			      wanted, 2));
	memcpy(payload, &sum, sizeof(sum));
	return word;
}

/* Leaves a checksum to the device (PACKET_VNET_HDR): UDP's, or with --flip one that changes the
 * destination. */
static int checksum_send(const struct options *options, const struct frame *frame, long count,
			 long *sent)
{
	struct virtio_net_hdr head = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_IPV6),
				 .sll_ifindex = (int)if_nametoindex(options->device)};
	struct frame whole = {.size = sizeof(head) + frame->size};
	uint8_t *bytes = whole.bytes + sizeof(head);
	struct in6_addr other;
	int fd, one = 1;

	if (frame->family != AF_INET6 || whole.size > sizeof(whole.bytes) ||
	    (options->flip && inet_pton(AF_INET6, options->flip, &other) != 1))
		return -EINVAL;
	memcpy(bytes, frame->bytes, frame->size);
	head.csum_start = (uint16_t)(frame->network + sizeof(struct ip6_hdr));
	head.csum_offset = offsetof(struct udphdr, check);
	if (options->flip) {
		head.csum_offset = 2;
		head.csum_start = (uint16_t)(checksum_aim(bytes, frame, &other) - 2 - bytes);
	}
	memcpy(whole.bytes, &head, sizeof(head));
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd >= 0 && setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	return send_from(fd, &whole, 0, &to, sizeof(to), count, sent);
}

/* A raw socket with the IP header in the data. */
static int inet_send(const struct options *options, const struct frame *frame, long count,
		     long *sent)
{
	struct sockaddr_storage to;
	int fd = socket(frame->family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), one = 1;

	(void)options;
	destination(frame, &to);
	/* For IPv4, IPPROTO_RAW implies it. */
	if (fd >= 0 && frame->family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, &one, sizeof(one));
	return send_from(fd, frame, frame->network, &to, address_size(&to), count, sent);
}

/* A ping socket, which takes no capability. The kernel writes all headers but ICMP's. */
static int ping_send(const struct options *options, const struct frame *frame, long count,
		     long *sent)
{
	bool ipv6 = frame->family == AF_INET6;
	struct sockaddr_storage to;
	int fd = socket(frame->family, SOCK_DGRAM | SOCK_CLOEXEC,
			ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);

	(void)options;
	destination(frame, &to);
	return send_from(fd, frame, frame->network + (ipv6 ? 40 : 20), &to, address_size(&to),
			 count, sent);
}

/* Finds the MAC addresses of the next hop and of the device. The next hop is IPv4's. */
static int link_find(const struct options *options, uint8_t to[6], uint8_t from[6])
{
	struct ifreq request = {0};
	struct in_addr gateway;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), error = 0;

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", options->device);
	if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		error = -errno;
	close(fd);
	memcpy(from, request.ifr_hwaddr.sa_data, 6);
	if (error)
		return error;
	if (options->gateway ? inet_pton(AF_INET, options->gateway, &gateway) != 1
			     : !gateway_of(options->device, &gateway))
		return -ENETUNREACH;
	return mac_of(gateway, options->device, deadline_from(options, 10), to);
}

int command_raw(const struct options *options)
{
	static const struct {
		const char *name;
		int (*send)(const struct options *options, const struct frame *frame, long count,
			    long *sent);
	} sockets[] = {
		{"packet", packet_send},     {"datagram", packet_send}, {"ring", ring_send},
		{"checksum", checksum_send}, {"xdp", xdp_send},		{"inet", inet_send},
		{"ping", ping_send},
	};
	const char *name = options->socket ? options->socket : "packet";
	long count = options->count > 0 ? options->count : 1, sent = 0;
	uint8_t to[6] = {0}, from[6] = {0};
	struct frame frame;
	size_t i = 0;
	int error;

	while (i < sizeof(sockets) / sizeof(sockets[0]) && strcmp(name, sockets[i].name) != 0)
		i++;
	if (i == sizeof(sockets) / sizeof(sockets[0]) || !options->device)
		return 2;
	error = link_find(options, to, from);
	if (error)
		return report_sent("link", 0, count, error);
	if (!frame_build(options, to, from, &frame))
		return 2;
	error = sockets[i].send(options, &frame, count, &sent);
	return report_sent("send", sent, count, error);
}
