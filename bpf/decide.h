/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Decides on a packet that a process in the namespace (sidecar) or a container behind the bridge
 * (bridge mode) sends. The decision is pure: it uses no map, no helper and no context. All programs
 * call it, and tests/unit/test_decide.c compiles it natively and tests its whole domain.
 */
#ifndef SIDESTEP_DECIDE_H
#define SIDESTEP_DECIDE_H

#include <sidestep.h>

#ifndef IPPROTO_UDP
#define IPPROTO_UDP 17
#endif
#ifndef IPPROTO_TCP
#define IPPROTO_TCP 6
#endif

#define SIDESTEP_DNS_PORT 53

/* The facts about a packet. Booleans are 0 or 1. */
struct decision_input {
	__u32 source_bypass;	  /* enum sidestep_bypass_source of the longest match; 0: none */
	__u32 destination_bypass; /* the same */
	__u32 owner;		  /* enum sidestep_owner of the sending socket */
	__u16 destination_port;	  /* host byte order */
	__u8 protocol;		  /* IPPROTO_* */
	__u8 later_fragment;	  /* not the first fragment, so it has no ports */
	__u8 inbound;		  /* its flow is in the map `inbound` */
	__u8 opening;		  /* TCP SYN without ACK or ICMP echo request, never a reply */
	__u8 udp_pass;		  /* --udp=pass */
	/* A later fragment: the verdict on the first one of its datagram if that was let out, else
	 * 0. */
	__u32 first_verdict;
};

/* Do the addresses alone decide (rule 2 below)? All other fields of @in may be 0 then. */
static inline __attribute__((always_inline)) int
sidestep_addresses_decide(const struct decision_input *in)
{
	if (in->destination_bypass & SIDESTEP_EXCEPT_DNS)
		return 0;
	return (in->destination_bypass & (SIDESTEP_FROM_LOCAL | SIDESTEP_FROM_BUILTIN)) ||
	       (in->source_bypass && in->destination_bypass);
}

/*
 * The order of the rules is a promise:
 *   1. While the internet is off, the application reaches no resolver but those of its namespace:
 *      port 53 of bypassed subnets is steered, over UDP and TCP.
 *   2. A packet that stays within the namespace, the link or the bridge bypasses all other rules.
 *   3. The proxy's own connections pass. Its DNS answers do not: the application chose their
 *      destination, which may be any address (IPV6_FREEBIND).
 *   4. A later fragment has no ports. It leaves if the first one of its datagram did.
 *   5. A query to a resolver is steered. It is never a reply, but the resolver's answer looks like
 *      the start of an inbound flow at the device.
 *   6. Replies of inbound connections pass, whatever their destination.
 *   7. Other TCP is steered. Other UDP passes or is dropped, as configured.
 * Nothing passes by default: a packet that no rule matches is denied.
 */
static inline __attribute__((always_inline)) enum sidestep_verdict
sidestep_decide(const struct decision_input *in)
{
	if ((in->destination_bypass & SIDESTEP_EXCEPT_DNS) && in->owner != SIDESTEP_OWNER_PROXY &&
	    in->owner != SIDESTEP_OWNER_ANSWERS && !in->later_fragment &&
	    in->destination_port == SIDESTEP_DNS_PORT) {
		if (in->protocol == IPPROTO_UDP)
			return SIDESTEP_STEER_DNS;
		if (in->protocol == IPPROTO_TCP)
			return SIDESTEP_STEER_TCP;
	}
	if (in->destination_bypass & SIDESTEP_FROM_LOCAL)
		return SIDESTEP_LOCAL;
	if (in->destination_bypass & SIDESTEP_FROM_BUILTIN)
		return SIDESTEP_LINK;
	if (in->source_bypass && in->destination_bypass)
		return SIDESTEP_BRIDGE;
	if (in->owner == SIDESTEP_OWNER_PROXY)
		return SIDESTEP_OWN;
	if (in->owner == SIDESTEP_OWNER_ANSWERS)
		return SIDESTEP_DENY_ANSWER;
	if (in->later_fragment)
		return in->first_verdict ? (enum sidestep_verdict)in->first_verdict
					 : SIDESTEP_DENY_FRAGMENT;
	if (in->protocol == IPPROTO_UDP && in->destination_port == SIDESTEP_DNS_PORT)
		return SIDESTEP_STEER_DNS;
	if (!in->opening && (in->owner == SIDESTEP_OWNER_INBOUND || in->inbound))
		return SIDESTEP_REPLY;
	if (in->protocol == IPPROTO_TCP)
		return SIDESTEP_STEER_TCP;
	if (in->protocol != IPPROTO_UDP)
		return SIDESTEP_DENY_PROTOCOL;
	return in->udp_pass ? SIDESTEP_PASS_UDP : SIDESTEP_DENY_UDP;
}

#endif
