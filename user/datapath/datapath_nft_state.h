/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contents of the tables of the nftables datapath, and the transactions that put them in force.
 * Parts that the kernel lacks are left out where the rest does without.
 */
#ifndef SIDESTEP_DATAPATH_NFT_STATE_H
#define SIDESTEP_DATAPATH_NFT_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath_nft_batch.h"
#include "datapath/datapath_nft_bypass.h"
#include "datapath/datapath_nft_devices.h"
#include "datapath/datapath_nft_failure.h"
#include "datapath/datapath_nft_own.h"
#include "datapath/datapath_nft_rules.h"
#include "sidestep.h"

/* For one thread at a time. */
struct nft_state {
	struct mnl_socket *socket;  /* NULL: not opened yet */
	struct nft_failure failure; /* of the last transaction */
	struct nft_rules rules;
	struct nft_bypass_list bypass;
	bool bypass_changed;
	struct sidestep_flow_key *inbound;
	size_t inbound_count, inbound_room;
	size_t inbound_put; /* the table has so many of them, the first ones */
	struct nft_own_list kept;
	struct nft_devices devices;
	bool guarded;	/* the guard of devices is installed */
	bool no_egress; /* the kernel cannot guard devices */
	bool trial;	/* the kernel checks everything and does nothing */
};

void nft_state_release(struct nft_state *state);

/* Opens the socket unless it is open. Returns 0 or negative errno. */
int nft_state_open(struct nft_state *state);

/* Makes rules of kind @redirect, or of that kind because the kernel lacks tproxy. Without the
 * socket, or the right to try, tproxy is taken to be there. */
void nft_state_choose(struct nft_state *state, bool redirect);

/* Adds a connection from outside. Returns 0, -ENOMEM or -ENOSPC. */
int nft_state_add_inbound(struct nft_state *state, const struct sidestep_flow_key *key);

/* Installs the tables in place of those that are there, or puts the changes in force. Each returns
 * 0, or a negative errno with @failure filled. */
int nft_state_install(struct nft_state *state);
int nft_state_update(struct nft_state *state);

/* Removes the tables, which need not be there. */
int nft_state_uninstall(struct nft_state *state);

/* Leaves of the tables what redirected connections need to go on. */
int nft_state_retire(struct nft_state *state);

#endif
