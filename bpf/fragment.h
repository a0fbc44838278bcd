/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Remembers the datagrams whose first fragment was let out, because the later ones have no ports.
 * The kernel sends the first one first (ip_do_fragment(), net/ipv4/ip_output.c).
 */
#ifndef SIDESTEP_FRAGMENT_H
#define SIDESTEP_FRAGMENT_H

#include "maps.h"
#include "packet.h"

/* Datagrams at a time; the least recently used one makes room. */
#define FRAGMENTS_MAX 4096

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FRAGMENTS_MAX);
	__type(key, struct fragment_key);
	__type(value, __u32); /* enum sidestep_verdict */
} fragments SEC(".maps");

static __always_inline struct fragment_key *fragment_key(__u32 netns, struct packet *packet)
{
	struct fragment_key *key = &packet->fragment;

	__builtin_memcpy(key->source, packet->source, 16);
	__builtin_memcpy(key->destination, packet->destination, 16);
	key->netns = netns;
	key->protocol = packet->protocol;
	return key;
}

/* Returns the verdict on the first fragment of the datagram, or 0 if it was not let out. */
static __always_inline __u32 fragment_known(__u32 netns, struct packet *packet)
{
	const __u32 *verdict = bpf_map_lookup_elem(&fragments, fragment_key(netns, packet));

	return verdict ? *verdict : 0;
}

/* Notes that the first fragment was let out. Without memory the later ones are dropped. */
static __always_inline void fragment_remember(__u32 netns, struct packet *packet, __u32 verdict)
{
	(void)map_update(&fragments, fragment_key(netns, packet), &verdict, 0);
}

#endif
