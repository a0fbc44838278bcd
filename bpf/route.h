/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Sends a packet out of lo by the route that it would have without sidestep. */
#ifndef SIDESTEP_ROUTE_H
#define SIDESTEP_ROUTE_H

#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "maps.h"
#include "mss.h"
#include "packet.h"
#include "refuse.h"

#define AF_INET	 2
#define AF_INET6 10

/* Finds the route to @remote, which is one of @packet's addresses, from any address. */
static __noinline struct sidestep_route *route_lookup(__u32 netns, const struct packet *packet,
						      const __u8 remote[16])
{
	if (packet->ipv4) {
		struct sidestep_prefix4 key KEY_ALIGNED;

		key_begin(&key, SIDESTEP_NETNS_BITS + 32, netns);
		*(__be32 *)key.address = packet_address4(remote);
		return bpf_map_lookup_elem(&route4, &key);
	} else {
		struct sidestep_prefix6 key KEY_ALIGNED;

		key_begin(&key, SIDESTEP_NETNS_BITS + 128, netns);
		address_copy(key.address, remote);
		return bpf_map_lookup_elem(&route6, &key);
	}
}

/* Finds the route to @remote that only packets from @local have. Both are @packet's addresses. */
static __noinline struct sidestep_route *route_by_source(__u32 netns, const struct packet *packet,
							 const __u8 local[16],
							 const __u8 remote[16])
{
	if (packet->ipv4) {
		struct sidestep_source_prefix4 key KEY_ALIGNED;

		key_begin(&key, SIDESTEP_SOURCE4_BITS + 32, netns);
		*(__u64 *)key.source = word_pair(packet_address4(local), packet_address4(remote));
		return bpf_map_lookup_elem(&source_route4, &key);
	} else {
		struct sidestep_source_prefix6 key KEY_ALIGNED;

		key_begin(&key, SIDESTEP_SOURCE6_BITS + 128, netns);
		address_copy(key.source, local);
		address_copy(key.address, remote);
		return bpf_map_lookup_elem(&source_route6, &key);
	}
}

/* Finds the route from @local to @remote. It asks twice rather than keep a pointer over a call: the
 * verifier rejects a spilled one without CAP_PERFMON. */
static __always_inline struct sidestep_route *
route_find(__u32 netns, const struct packet *packet, const __u8 local[16], const __u8 remote[16])
{
	struct sidestep_route *route = route_lookup(netns, packet, remote);

	if (route && !route->by_source)
		return route;
	route = route_by_source(netns, packet, local, remote);
	return route ? route : route_lookup(netns, packet, remote);
}

/* Clamps the segments of the answers to an incoming SYN that packet_read() parsed. */
__noinline int mss_clamp_answers(struct __sk_buff *skb, __u32 netns)
{
	const struct packet *packet = packet_scratch(PACKET_FRAME);
	const struct sidestep_route *route;

	if (!packet)
		return 0;
	route = route_find(netns, packet, packet->destination, packet->source);
	if (route)
		mss_clamp(skb, packet, route->mtu);
	return 0;
}

/* Makes the packet's destination its next hop. */
static __always_inline void neighbour_set(struct packet *packet)
{
	if (packet->ipv4) {
		packet->neighbour.nh_family = AF_INET;
		packet->neighbour.ipv4_nh = packet_address4(packet->destination);
	} else {
		packet->neighbour.nh_family = AF_INET6;
		address_copy(packet->neighbour.ipv6_nh, packet->destination);
	}
}

/* Sends a packet out of lo, where policy routing brought it. */
__noinline int send_out(struct __sk_buff *skb, __u32 netns)
{
	struct packet *packet = packet_scratch(PACKET_FRAME);
	struct sidestep_route *route;

	if (!packet)
		return TC_ACT_SHOT;
	route = route_find(netns, packet, packet->source, packet->destination);
	if (!route)
		return TC_ACT_SHOT;
	/* The device would drop it, and count it among its own. */
	if (route->mtu && !skb->gso_size && skb->len > ETHERNET_SIZE + route->mtu) {
		count(netns, SIDESTEP_TOO_BIG);
		denial_note(skb, netns, SIDESTEP_TOO_BIG, SIDESTEP_TOO_BIG, 1);
		return TC_ACT_SHOT;
	}
	mss_clamp(skb, packet, route->mtu);
	neighbour_set(packet);
	if (route->has_gateway)
		address_copy(packet->neighbour.ipv6_nh, route->gateway);
	return bpf_redirect_neigh(route->ifindex, &packet->neighbour, sizeof(packet->neighbour), 0);
}

#endif
