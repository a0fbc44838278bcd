/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Caches the answers of the tries `bypass4` and `bypass6` for pairs of addresses. Each packet needs
 * them, and the tries take longer than all the rest. Only their answers are cached, so verdicts do
 * not change.
 */
#ifndef SIDESTEP_RECALL_H
#define SIDESTEP_RECALL_H

#include "bypass.h"
#include "maps.h"
#include "packet.h"

#define RECALL_SLOTS 512 /* a power of two */
#define RECALL_SEEN  RECALL_SLOTS

struct recalled {
	__u64 generation; /* of the tries' content, see recall_renew() */
	__u64 source[2];
	__u64 destination[2];
	__u32 netns;
	__u32 source_bypass;	  /* enum sidestep_bypass_source, 0: no match */
	__u32 destination_bypass; /* the same */
	__u32 ipv4;		  /* each family has its own tries */
	__u32 padding[2];	  /* fills a cache line */
};

/* The last entry, RECALL_SEEN, holds no pair. Its generation is the one that a run saw when it last
 * asked the tries. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RECALL_SLOTS + 1);
	__type(key, __u32);
	__type(value, struct recalled);
} recalls SEC(".maps");

static __always_inline __u32 recall_slot(const struct address_pair *pair, __u32 netns)
{
	__u64 mixed = pair->source[0] ^ pair->source[1] ^ netns;

	/* Neighbouring addresses differ in the last byte and get different slots. */
	mixed = mixed * 0x9e3779b97f4a7c15ULL;
	mixed ^= (pair->destination[0] ^ pair->destination[1]) * 0xc2b2ae3d27d4eb4fULL;
	return (__u32)(mixed >> 55) & (RECALL_SLOTS - 1);
}

/*
 * Asks the tries and fills @entry. The entry gets the generation that an earlier run saw, because a
 * CPU may read the tries before it reads the generation of this run. Two runs cannot be reordered
 * like this. So after a change, the first run on each CPU caches nothing valid. Negative: a map
 * lookup failed.
 */
static __noinline int recall_renew(struct recalled *entry, const struct address_pair *pair,
				   __u32 netns)
{
	__u32 seen_slot = RECALL_SEEN, zero = 0;
	struct sidestep_generation *now = bpf_map_lookup_elem(&generation, &zero);
	struct recalled *seen = bpf_map_lookup_elem(&recalls, &seen_slot);

	if (!now || !seen)
		return -1;
	entry->source[0] = pair->source[0];
	entry->source[1] = pair->source[1];
	entry->destination[0] = pair->destination[0];
	entry->destination[1] = pair->destination[1];
	entry->netns = netns;
	entry->ipv4 = pair->ipv4;
	if (pair->ipv4) {
		entry->source_bypass =
			bypass_sources(bypass_lookup4(netns, pair_address4(pair->source)));
		entry->destination_bypass =
			bypass_sources(bypass_lookup4(netns, pair_address4(pair->destination)));
	} else {
		entry->source_bypass = bypass_sources(bypass_lookup6(netns, pair->source));
		entry->destination_bypass =
			bypass_sources(bypass_lookup6(netns, pair->destination));
	}
	entry->generation = seen->generation;
	seen->generation = *(volatile __u64 *)&now->bypass;
	return 0;
}

/* NULL: the caller must ask the tries. */
static __always_inline const struct recalled *recall(const struct address_pair *pair, __u32 netns)
{
	__u32 slot = recall_slot(pair, netns), zero = 0;
	struct sidestep_generation *now = bpf_map_lookup_elem(&generation, &zero);
	struct recalled *entry = bpf_map_lookup_elem(&recalls, &slot);

	if (!now || !entry)
		return NULL;
	if (entry->generation == *(volatile __u64 *)&now->bypass && entry->netns == netns &&
	    entry->ipv4 == pair->ipv4 && entry->source[0] == pair->source[0] &&
	    entry->source[1] == pair->source[1] && entry->destination[0] == pair->destination[0] &&
	    entry->destination[1] == pair->destination[1])
		return entry;
	return recall_renew(entry, pair, netns) < 0 ? NULL : entry;
}

#endif
