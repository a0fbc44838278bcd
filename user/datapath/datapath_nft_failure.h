/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Explains why the kernel refused a transaction of nf_tables: which object, and the remedy. The
 * kernel tells only a message's number and an errno. ENOENT is also its word for a missing module.
 */
#ifndef SIDESTEP_DATAPATH_NFT_FAILURE_H
#define SIDESTEP_DATAPATH_NFT_FAILURE_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

/* Parts of the tables that can be done without. */
enum nft_part {
	NFT_PART_NEEDED, /* none of those below */
	NFT_PART_TPROXY,
	NFT_PART_SOCKET,
	NFT_PART_REJECT,
	NFT_PART_TIMEOUTS,
	NFT_PART_LOG,
};

struct nft_failure {
	int error;	    /* negative errno */
	uint8_t family;	    /* of the table; NFPROTO_UNSPEC: the transaction as a whole */
	enum nft_part part; /* to which the object belongs */
	char object[128];   /* "chain guard", "the expression tproxy in chain arrive" */
	/* The modules and kernel options that it needs; NULL: nothing special. */
	const char *needs;
};

/* Fills @ret_failure with the object of @message (NULL: the transaction as a whole), which was
 * refused with @error (negative errno). */
void nft_failure_describe(const struct nlmsghdr *message, int error,
			  struct nft_failure *ret_failure);

/* Tells whether the kernel lacks @part. Another refusal tells nothing of it. */
bool nft_failure_lacks(const struct nft_failure *failure, enum nft_part part);

/* Logs that nftables has refused to do @action ("install ..."), and the remedy. Returns the
 * failure's errno. */
int nft_failure_log(const struct nft_failure *failure, const char *action);

#endif
