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
 * Sets the owner of the TCP socket that sends @skb. Packets of a handshake and of TIME_WAIT have no
 * full socket and are left alone. Each check returns early because of the verifier before Linux
 * 6.16. Without CAP_PERFMON it rejects a use of a pointer that is NULL on any path there, because
 * the CPU could mispredict the check.
 */
static __noinline int owner_set_sender(struct __sk_buff *skb, __u32 owner)
{
	struct sidestep_owner_value initial = {.owner = owner};
	struct sidestep_owner_value *value;
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 0;
	if (sk->protocol != IPPROTO_TCP)
		return 0;
	value = bpf_sk_storage_get(&owners, sk, &initial, BPF_SK_STORAGE_GET_F_CREATE);
	if (value)
		value->owner = owner;
	return 0;
}

#endif
