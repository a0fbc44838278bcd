/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Tells a program which network namespace its packet is in (include/sidestep.h). */
#ifndef SIDESTEP_NETNS_H
#define SIDESTEP_NETNS_H

#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#ifdef SIDESTEP_SHARED
/*
 * One load serves several namespaces, so a TC program takes the namespace of its packet's device.
 * bpf_get_netns_cookie() cannot be used: it reads the packet's socket, and an incoming packet has
 * none. These are kernel types, found in BTF and relocated at load (CO-RE). bpf_cast_to_kern_ctx()
 * needs Linux 6.2.
 */
struct net {
	__u64 net_cookie;
} __attribute__((preserve_access_index));

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	possible_net_t nd_net;
} __attribute__((preserve_access_index));

struct sk_buff {
	struct net_device *dev;
} __attribute__((preserve_access_index));

extern void *bpf_cast_to_kern_ctx(void *context) __ksym;

static __always_inline __u32 netns_of(struct __sk_buff *skb)
{
	struct sk_buff *kernel_skb = bpf_cast_to_kern_ctx(skb);

	return (__u32)kernel_skb->dev->nd_net.net->net_cookie;
}
#else
/* The only namespace that this load serves. The loader sets it before the load. */
const volatile __u32 config_netns = 0;

static __always_inline __u32 netns_of(struct __sk_buff *skb)
{
	(void)skb;
	return config_netns;
}
#endif

#endif
