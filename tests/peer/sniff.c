// SPDX-License-Identifier: Apache-2.0
/* Counts the packets that pass a device, to find leaks. Reports packets that it may have missed. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_packet.h>

#include "peer.h"

#define SNAP 128
/* The first packets to a counted network are shown, because they may be a leak. */
#define SHOWN 20

struct cidr {
	int family;
	uint8_t bytes[16];
	unsigned int length;
};

/* The packets of one direction: to a counted network, or from one. */
struct counts {
	unsigned long tcp, syn, udp, icmp, fragment, other;
};

struct sniff {
	struct cidr networks[8];
	int count;
	struct counts to, from;
	unsigned long total, seen_out; /* all packets; those that the device sent */
	unsigned long largest;	       /* of those sent, bytes with its IP header */
	int shown;
};

static bool cidr_parse(const char *text, struct cidr *cidr)
{
	char host[64];
	const char *slash = strchr(text, '/');
	struct sockaddr_storage address;
	uint16_t length;

	snprintf(host, sizeof(host), "%.*s", slash ? (int)(slash - text) : (int)strlen(text), text);
	if (!literal_parse(host, 0, &address))
		return false;
	cidr->family = address.ss_family;
	if (address.ss_family == AF_INET)
		memcpy(cidr->bytes, &((struct sockaddr_in *)&address)->sin_addr, 4);
	else
		memcpy(cidr->bytes, &((struct sockaddr_in6 *)&address)->sin6_addr, 16);
	length = cidr->family == AF_INET ? 32 : 128;
	if (slash && !port_parse(slash + 1, &length))
		return false;
	cidr->length = length;
	return length <= (cidr->family == AF_INET ? 32 : 128);
}

static bool counted(const struct sniff *sniff, int family, const uint8_t *address)
{
	for (int i = 0; i < sniff->count; i++) {
		const struct cidr *cidr = &sniff->networks[i];
		unsigned int whole = cidr->length / 8, rest = cidr->length % 8;

		if (cidr->family == family && memcmp(cidr->bytes, address, whole) == 0 &&
		    (!rest || (cidr->bytes[whole] ^ address[whole]) >> (8 - rest) == 0))
			return true;
	}
	return false;
}

static void count_transport(struct counts *counts, uint8_t protocol, const uint8_t *header,
			    size_t size, bool fragment)
{
	if (fragment) {
		counts->fragment++;
	} else if (protocol == IPPROTO_TCP) {
		counts->tcp++;
		/* SYN without ACK */
		counts->syn += size >= 14 && (header[13] & 0x12) == 0x02;
	} else if (protocol == IPPROTO_UDP) {
		counts->udp++;
	} else if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
		counts->icmp++;
	} else {
		counts->other++;
	}
}

/* Prints when a packet came, in the day's seconds (UTC), and its bytes. */
static void show(struct sniff *sniff, const uint8_t *data, size_t size)
{
	struct timespec now;

	if (sniff->shown++ >= SHOWN)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	printf("to at=%02d:%02d:%02d.%03ld ", (int)(now.tv_sec / 3600 % 24),
	       (int)(now.tv_sec / 60 % 60), (int)(now.tv_sec % 60), now.tv_nsec / 1000000);
	print_quoted(stdout, data, size);
	putchar('\n');
}

static void count_packet(struct sniff *sniff, const uint8_t *data, size_t size)
{
	bool v4 = size >= 20 && data[0] >> 4 == 4, v6 = size >= 40 && data[0] >> 4 == 6;
	int family = v4 ? AF_INET : AF_INET6;
	size_t header = v4 ? (data[0] & 15u) * 4u : 40;
	bool fragment = v4 && (data[6] & 0x1f || data[7]);
	uint8_t protocol;

	if ((!v4 && !v6) || header > size)
		return;
	protocol = v4 ? data[9] : data[6];
	if (counted(sniff, family, data + (v4 ? 16 : 24))) {
		count_transport(&sniff->to, protocol, data + header, size - header, fragment);
		show(sniff, data, size);
	}
	if (counted(sniff, family, data + (v4 ? 12 : 8)))
		count_transport(&sniff->from, protocol, data + header, size - header, fragment);
}

static void drain(struct sniff *sniff, int fd)
{
	/* Bounded: a full device must not keep us from seeing the end. */
	for (int i = 0; i < 100000; i++) {
		uint8_t data[SNAP];
		struct sockaddr_ll from;
		socklen_t from_size = sizeof(from);
		ssize_t got = recvfrom(fd, data, sizeof(data), MSG_DONTWAIT | MSG_TRUNC,
				       (void *)&from, &from_size);

		if (got < 0)
			return;
		sniff->total++;
		if (from.sll_pkttype == PACKET_OUTGOING) {
			sniff->seen_out++;
			if ((unsigned long)got > sniff->largest)
				sniff->largest = (unsigned long)got;
		}
		count_packet(sniff, data, (size_t)got < SNAP ? (size_t)got : SNAP);
	}
}

static void print_counts(const char *side, const struct counts *counts)
{
	printf(" %s_tcp=%lu %s_syn=%lu %s_udp=%lu %s_icmp=%lu %s_fragment=%lu %s_other=%lu", side,
	       counts->tcp, side, counts->syn, side, counts->udp, side, counts->icmp, side,
	       counts->fragment, side, counts->other);
}

static int open_device(const char *device)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = 64 << 20;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	address.sll_ifindex = (int)if_nametoindex(device);
	if (!address.sll_ifindex || bind(fd, (void *)&address, sizeof(address)) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

/* Prints "ready device=.." and the first packets. At the end it prints to_tcp=.. (destination
 * counted), from_tcp=.. (source counted), total=.., out=.., largest=.. and drops=.. . Status 1 when
 * packets were dropped, because the counts are then wrong. */
int command_sniff(const struct options *options)
{
	static struct sniff sniff;
	int64_t deadline_us = deadline_from(options, 60);
	struct tpacket_stats statistics = {0};
	socklen_t size = sizeof(statistics);
	int fd;

	if (!options->device || options->arg_count || !options->count_dst_count)
		return 2;
	for (; sniff.count < options->count_dst_count; sniff.count++)
		if (!cidr_parse(options->count_dst[sniff.count], &sniff.networks[sniff.count]))
			return 2;
	fd = open_device(options->device);
	if (fd < 0) {
		printf("result=%s device=%s\n", error_word(fd), options->device);
		return 1;
	}
	printf("ready device=%s\n", options->device);
	while (!stop_requested && now_us() < deadline_us && !file_exists(options->until_file)) {
		struct pollfd entry = {.fd = fd, .events = POLLIN};

		if (poll(&entry, 1, 20) > 0)
			drain(&sniff, fd);
	}
	drain(&sniff, fd);
	if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) < 0)
		statistics.tp_drops = (unsigned int)-1;
	printf("result=%s device=%s", statistics.tp_drops ? "drops" : "ok", options->device);
	print_counts("to", &sniff.to);
	print_counts("from", &sniff.from);
	printf(" total=%lu out=%lu largest=%lu drops=%u\n", sniff.total, sniff.seen_out,
	       sniff.largest, statistics.tp_drops);
	close(fd);
	return statistics.tp_drops != 0;
}
