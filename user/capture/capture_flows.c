// SPDX-License-Identifier: Apache-2.0
#include "capture/capture_flows.h"

#include <errno.h>
#include <fnmatch.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/list.h"
#include "lib/util.h"

#define BUCKETS	  4096 /* a power of two */
#define FLOWS_MAX 65536

/* A connection, IPv4 as ::ffff:a.b.c.d, ports in network byte order. */
struct key {
	uint8_t source[16], destination[16]; /* the application's end comes first */
	uint16_t source_port, destination_port;
};

struct kept {
	struct list_link link;
	struct capture_packet packet;
	uint8_t frame[];
};

enum decision {
	UNDECIDED, /* its packets are kept */
	WANTED,
	UNWANTED,
};

struct flow {
	struct list_link link; /* by age */
	struct flow *next;     /* in the bucket */
	struct key key;
	enum decision decision;
	struct list_link packets;
	size_t kept; /* bytes */
};

struct capture_flows {
	const char *pattern;
	void (*wanted)(void *context, const struct capture_packet *packet);
	void *context;
	struct flow *buckets[BUCKETS];
	struct list_link by_age;
	size_t count, kept;
};

struct capture_flows *
capture_flows_new(const char *pattern,
		  void (*wanted)(void *context, const struct capture_packet *packet), void *context)
{
	struct capture_flows *flows = calloc(1, sizeof(*flows));

	if (!flows)
		return NULL;
	flows->pattern = pattern;
	flows->wanted = wanted;
	flows->context = context;
	list_init(&flows->by_age);
	return flows;
}

/* FNV-1a */
static size_t bucket_of(const struct key *key)
{
	const uint8_t *bytes = (const uint8_t *)key;
	uint32_t hash = 2166136261U;
	size_t i;

	for (i = 0; i < sizeof(*key); i++)
		hash = (hash ^ bytes[i]) * 16777619U;
	return hash & (BUCKETS - 1);
}

static struct flow *find(const struct capture_flows *flows, const struct key *key)
{
	struct flow *flow = flows->buckets[bucket_of(key)];

	while (flow && memcmp(&flow->key, key, sizeof(*key)) != 0)
		flow = flow->next;
	return flow;
}

static void drop_packets(struct capture_flows *flows, struct flow *flow)
{
	struct list_link *link;

	while ((link = list_first(&flow->packets))) {
		list_remove(link);
		free(container_of(link, struct kept, link));
	}
	flows->kept -= flow->kept;
	flow->kept = 0;
}

static void forget(struct capture_flows *flows, struct flow *flow)
{
	struct flow **place = &flows->buckets[bucket_of(&flow->key)];

	while (*place != flow)
		place = &(*place)->next;
	*place = flow->next;
	list_remove(&flow->link);
	drop_packets(flows, flow);
	flows->count--;
	free(flow);
}

static struct flow *oldest(const struct capture_flows *flows)
{
	return container_of(list_first(&flows->by_age), struct flow, link);
}

static struct flow *add(struct capture_flows *flows, const struct key *key)
{
	struct flow *flow = calloc(1, sizeof(*flow));
	size_t bucket = bucket_of(key);

	if (!flow)
		return NULL;
	if (flows->count == FLOWS_MAX)
		forget(flows, oldest(flows));
	flow->key = *key;
	list_init(&flow->packets);
	flow->next = flows->buckets[bucket];
	flows->buckets[bucket] = flow;
	list_append(&flows->by_age, &flow->link);
	flows->count++;
	return flow;
}

static void keep(struct capture_flows *flows, struct flow *flow,
		 const struct capture_packet *packet)
{
	struct kept *kept = NULL;

	if (flow->kept + packet->size <= CAPTURE_FLOW_KEPT)
		kept = malloc(sizeof(*kept) + packet->size);
	if (!kept) {
		flow->decision = UNWANTED;
		drop_packets(flows, flow);
		return;
	}
	memset(&kept->link, 0, sizeof(kept->link));
	kept->packet = *packet;
	memcpy(kept->frame, packet->frame, packet->size);
	kept->packet.frame = kept->frame;
	list_append(&flow->packets, &kept->link);
	flow->kept += packet->size;
	flows->kept += packet->size;
	while (flows->kept > CAPTURE_FLOWS_KEPT)
		forget(flows, oldest(flows));
}

static void decide(struct capture_flows *flows, struct flow *flow, bool wanted)
{
	struct list_link *link;

	flow->decision = wanted ? WANTED : UNWANTED;
	while (wanted && (link = list_first(&flow->packets))) {
		struct kept *kept = container_of(link, struct kept, link);

		flows->wanted(flows->context, &kept->packet);
		list_remove(link);
		flows->kept -= kept->packet.size;
		flow->kept -= kept->packet.size;
		free(kept);
	}
	drop_packets(flows, flow);
}

static uint16_t port_of(const struct sockaddr_storage *end)
{
	return end->ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)end)->sin6_port
					  : ((const struct sockaddr_in *)end)->sin_port;
}

bool capture_flows_name(struct capture_flows *flows, const struct capture_open *open)
{
	bool wanted = !flows->pattern || fnmatch(flows->pattern, open->name, FNM_CASEFOLD) == 0;
	struct key key = {
		.source_port = port_of(&open->source),
		.destination_port = port_of(&open->destination),
	};
	struct flow *flow;

	if (!flows->pattern)
		return true;
	address_from_sockaddr((const struct sockaddr *)&open->source, key.source);
	address_from_sockaddr((const struct sockaddr *)&open->destination, key.destination);
	flow = find(flows, &key);
	if (!flow)
		flow = add(flows, &key);
	if (flow)
		decide(flows, flow, wanted);
	return wanted;
}

static bool is_loopback(const uint8_t address[16])
{
	return address_is_ipv4(address) ? address[12] == 127
					: IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)address);
}

/* Copies a header out of the frame, where it is not aligned, and steps behind it. */
static bool take(const struct capture_packet *packet, size_t *position, void *header, size_t size)
{
	if (packet->size < *position + size)
		return false;
	memcpy(header, packet->frame + *position, size);
	*position += size;
	return true;
}

static bool read_ipv4(const struct capture_packet *packet, size_t *position, struct key *key)
{
	struct ip header;
	size_t begin = *position;

	if (!take(packet, position, &header, sizeof(header)) || header.ip_p != IPPROTO_TCP)
		return false;
	*position = begin + (size_t)header.ip_hl * 4;
	address_from_bytes(AF_INET, &header.ip_src, key->source);
	address_from_bytes(AF_INET, &header.ip_dst, key->destination);
	return true;
}

static bool read_ipv6(const struct capture_packet *packet, size_t *position, struct key *key)
{
	struct ip6_hdr header;

	if (!take(packet, position, &header, sizeof(header)) || header.ip6_nxt != IPPROTO_TCP)
		return false;
	memcpy(key->source, &header.ip6_src, sizeof(key->source));
	memcpy(key->destination, &header.ip6_dst, sizeof(key->destination));
	return true;
}

/* Reads the ends and the flags of a TCP packet. Returns false for another one. */
static bool read_ends(const struct capture_packet *packet, struct key *key, uint8_t *ret_flags)
{
	struct ether_header link;
	struct tcphdr tcp;
	size_t position = 0;

	memset(key, 0, sizeof(*key));
	if (!take(packet, &position, &link, sizeof(link)))
		return false;
	if (link.ether_type == htons(ETHERTYPE_IP)     ? !read_ipv4(packet, &position, key)
	    : link.ether_type == htons(ETHERTYPE_IPV6) ? !read_ipv6(packet, &position, key)
						       : true)
		return false;
	if (!take(packet, &position, &tcp, sizeof(tcp)))
		return false;
	key->source_port = tcp.th_sport;
	key->destination_port = tcp.th_dport;
	*ret_flags = tcp.th_flags;
	return true;
}

static struct key turned(const struct key *key)
{
	struct key other = {.source_port = key->destination_port,
			    .destination_port = key->source_port};

	memcpy(other.source, key->destination, sizeof(other.source));
	memcpy(other.destination, key->source, sizeof(other.destination));
	return other;
}

void capture_flows_packet(struct capture_flows *flows, const struct capture_packet *packet)
{
	struct flow *flow;
	struct key key, other;
	uint8_t flags;
	bool opens;

	if (!read_ends(packet, &key, &flags) || is_loopback(key.source) ||
	    is_loopback(key.destination) ||
	    memcmp(key.source, key.destination, sizeof(key.source)) == 0)
		return;
	if (!flows->pattern) {
		flows->wanted(flows->context, packet);
		return;
	}
	opens = (flags & (TH_SYN | TH_ACK)) == TH_SYN;
	other = turned(&key);
	flow = find(flows, &key);
	if (!flow)
		flow = find(flows, &other);
	/* A new connection may have the ports of an earlier one. */
	if (flow && opens && flow->decision != UNDECIDED) {
		forget(flows, flow);
		flow = NULL;
	}
	if (!flow && opens)
		flow = add(flows, &key);
	if (!flow)
		return;
	if (flow->decision == WANTED)
		flows->wanted(flows->context, packet);
	else if (flow->decision == UNDECIDED)
		keep(flows, flow, packet);
}

void capture_flows_free(struct capture_flows *flows)
{
	if (!flows)
		return;
	while (flows->count > 0)
		forget(flows, oldest(flows));
	free(flows);
}
