/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reads and writes the owner of a packet's socket (enum sidestep_owner, the map `owners`). */
#ifndef SIDESTEP_OWNER_H
#define SIDESTEP_OWNER_H

#include "decide.h"
#include "maps.h"
#include "packet.h"

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
 * Returns what is known of the TCP socket that sends @skb, made if need be, or NULL. Packets of a
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

#ifdef SIDESTEP_SHARED
/*
 * The owner of the socket that sends @skb, as the outer guard may believe it: only the proxy's DNS
 * is recognised by its sockets. An application with rights can rewrite the destination of the
 * proxy's other packets, and the gateway is bypassed by its address there. It can also give a
 * socket that replied another peer (TCP_REPAIR, or a device of its own).
 */
static __always_inline __u32 owner_seen_outside(struct __sk_buff *skb, __u8 protocol,
						const __u8 destination[16], __u16 port)
{
	const struct sidestep_owner_value *value;
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return SIDESTEP_OWNER_NONE;
	value = bpf_sk_storage_get(&owners, sk, NULL, 0);
	if (!value)
		return SIDESTEP_OWNER_NONE;
	if (protocol == IPPROTO_TCP)
		return value->replied_port && value->replied_port == port &&
				       address_same(value->replied_address, destination)
			       ? SIDESTEP_OWNER_INBOUND
			       : SIDESTEP_OWNER_NONE;
	return value->owner != SIDESTEP_OWNER_PROXY || port == SIDESTEP_DNS_PORT
		       ? value->owner
		       : SIDESTEP_OWNER_NONE;
}

/* Notes the remote end to which the TCP socket that sends @skb replies. */
static __noinline int owner_set_replied(struct __sk_buff *skb, const __u64 remote[2], __u16 port)
{
	struct sidestep_owner_value *value = owner_make(skb);

	if (!value)
		return 0;
	__builtin_memcpy(value->replied_address, remote, sizeof(value->replied_address));
	value->replied_port = port;
	return 0;
}
#endif

#endif
