/* SPDX-License-Identifier: Apache-2.0 */
/* The base chains of nftables in a network namespace, and which of them may drop packets. */
#ifndef SIDESTEP_DOCTOR_CHAINS_H
#define SIDESTEP_DOCTOR_CHAINS_H

#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Further chains are left out. */
#define DOCTOR_CHAINS_MAX 32

struct doctor_chain {
	uint32_t family; /* NFPROTO_* */
	uint32_t hook;	 /* NF_INET_*; the hook ingress of devices counts as prerouting */
	char table[32], name[32];
	bool policy;	  /* is drop */
	bool drops;	  /* a rule of its own drops or rejects */
	bool jumps;	  /* to chains of its table */
	bool table_drops; /* one of those drops or rejects */
};

/* Zero-initialised: none. */
struct doctor_chains {
	struct doctor_chain items[DOCTOR_CHAINS_MAX];
	size_t count;
};

/* Adds a chain, if it is a base chain whose name a shell takes as it is. */
void doctor_chains_add(struct doctor_chains *chains, const struct nftnl_chain *chain);

/* Notes what a rule does. All base chains have been added. */
void doctor_chains_judge(struct doctor_chains *chains, struct nftnl_rule *rule);

/* Whether packets of the address family (AF_*) may be dropped by it, at a hook of @hooks (bits,
 * 1 << NF_INET_*). */
bool doctor_chain_may_drop(const struct doctor_chain *chain, int family, unsigned int hooks);

/* The name of NFPROTO_*, as nft(8) has it. */
const char *doctor_chains_family(uint32_t family);

#endif
