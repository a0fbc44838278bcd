/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at the packet filters of a network namespace: nftables, and iptables of both kinds. */
#ifndef SIDESTEP_DOCTOR_NFT_H
#define SIDESTEP_DOCTOR_NFT_H

#include <stdbool.h>
#include <stddef.h>

#include "doctor/doctor_chains.h"
#include "doctor/doctor_legacy.h"

/* Bytes of a list of names. */
#define DOCTOR_NFT_NAMES_MAX 256

/* Zero-initialised: nothing is there. Lists have ", " between names; those that do not fit are left
 * out. */
struct doctor_nft {
	char tables[DOCTOR_NFT_NAMES_MAX];	 /* of others, as "ip filter" */
	char interceptors[DOCTOR_NFT_NAMES_MAX]; /* those with the action tproxy or redirect */
	bool own;				 /* a table of Sidestep's */
	bool ufw;				 /* has chains of ufw's */
	bool firewalld;				 /* has firewalld's table */
	bool docker_user;			 /* the chain DOCKER-USER has rules */
	struct doctor_chains chains;		 /* of others */
	struct doctor_legacy legacy4, legacy6;	 /* iptables of the old kind */
};

/* Reads those of the calling thread's network namespace. Without the right to read them, or without
 * nf_tables, nothing is found. */
void doctor_nft_read(struct doctor_nft *ret_nft);

#endif
