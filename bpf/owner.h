/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reads and writes the owner of a packet's socket (enum sidestep_owner, the map `owners`). */
#ifndef SIDESTEP_OWNER_H
#define SIDESTEP_OWNER_H

#include "decide.h"
#include "maps.h"

static __always_inline __u32 owner_get(struct bpf_sock *sk)
{
	struct sidestep_owner_value *value;

	if (!sk)
		return SIDESTEP_OWNER_NONE;
	value = bpf_sk_storage_get(&owners, sk, NULL, 0);
	return value ? value->owner : SIDESTEP_OWNER_NONE;
}

/* The owner of the socket that sends @skb. bpf_sk_storage_get() itself checks for a full socket. */
static __always_inline __u32 owner_of_sender(struct __sk_buff *skb)
{
	return owner_get(skb->sk);
}

/*
 * Does likewise for the outer guard. It does not believe SIDESTEP_OWNER_INBOUND, which an
 * application with rights can have set by devices of its own.
 */
static __always_inline __u32 owner_seen_outside(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	const struct sidestep_owner_value *value;

	if (!sk)
		return SIDESTEP_OWNER_NONE;
	value = bpf_sk_storage_get(&owners, sk, NULL, 0);
	if (!value)
		return SIDESTEP_OWNER_NONE;
	if (value->outer_inbound)
		return SIDESTEP_OWNER_INBOUND;
	return value->owner == SIDESTEP_OWNER_INBOUND ? SIDESTEP_OWNER_NONE : value->owner;
}

/*
 * Returns the storage of the TCP socket that sends @skb, or NULL. New storage is zero. Packets of a
 * handshake and of TIME_WAIT have no full socket. Each check returns early because of the verifier
 * before Linux 6.16. Without CAP_PERFMON it rejects a use of a pointer that is NULL on any path
 * there, because the CPU could mispredict the check.
 */
static __always_inline struct sidestep_owner_value *owner_make(struct __sk_buff *skb)
{
	struct sidestep_owner_value initial = {};
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return NULL;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return NULL;
	if (sk->protocol != IPPROTO_TCP)
		return NULL;
	return bpf_sk_storage_get(&owners, sk, &initial, BPF_SK_STORAGE_GET_F_CREATE);
}

/* Sets the owner of the TCP socket that sends @skb. */
static __noinline int owner_set_sender(struct __sk_buff *skb, __u32 owner)
{
	struct sidestep_owner_value *value = owner_make(skb);

	if (value)
		value->owner = owner;
	return 0;
}

/* Sets whether the TCP socket that sends @skb was accepted from outside, as the outer guard sees
 * it. */
static __noinline int owner_set_outer(struct __sk_buff *skb, __u32 inbound)
{
	struct sidestep_owner_value *value = owner_make(skb);

	if (value)
		value->outer_inbound = inbound;
	return 0;
}

#endif
