/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Looks an address up in the tries `bypass4` and `bypass6`. */
#ifndef SIDESTEP_BYPASS_H
#define SIDESTEP_BYPASS_H

#include "maps.h"
#include "packet.h"

static __always_inline struct sidestep_bypass *bypass_lookup4(__u32 netns, __be32 address)
{
	struct sidestep_prefix4 key KEY_ALIGNED;

	key_begin(&key, SIDESTEP_NETNS_BITS + 32, netns);
	*(__be32 *)key.address = address;
	return bpf_map_lookup_elem(&bypass4, &key);
}

static __always_inline struct sidestep_bypass *bypass_lookup6(__u32 netns, const void *address)
{
	struct sidestep_prefix6 key KEY_ALIGNED;

	key_begin(&key, SIDESTEP_NETNS_BITS + 128, netns);
	address_copy(key.address, address);
	return bpf_map_lookup_elem(&bypass6, &key);
}

static __always_inline __u32 bypass_sources(const struct sidestep_bypass *bypass)
{
	return bypass ? bypass->sources : 0;
}

/*
 * Looks up @address, which is one of @packet's. Like several functions in the other headers, it is
 * not inlined. A key in a stack frame of its own never shares a slot with a spilled pointer. The
 * verifier would reject that without CAP_PERFMON.
 */
static __noinline struct sidestep_bypass *bypass_lookup(__u32 netns, const struct packet *packet,
							const __u8 address[16])
{
	return packet->ipv4 ? bypass_lookup4(netns, packet_address4(address))
			    : bypass_lookup6(netns, address);
}

#endif
