/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Finds the proxy's sockets in the map `listeners`. */
#ifndef SIDESTEP_LISTENER_H
#define SIDESTEP_LISTENER_H

#include "maps.h"

/* A struct sidestep_listener_key. */
static __always_inline __u64 listener_key(__u32 netns, __u32 listener)
{
	return word_pair(netns, listener);
}

/* Is the slot empty? A listener leaves it with its process. A function of its own, because inlined
 * code may test the pointer behind its release, which the verifier rejects. */
__noinline int nobody_listens(__u32 netns, __u32 listener)
{
	__u64 key = listener_key(netns, listener);
	struct bpf_sock *found = bpf_map_lookup_elem(&listeners, &key);

	if (!found)
		return 1;
	bpf_sk_release(found);
	return 0;
}

#endif
