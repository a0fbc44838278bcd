/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Explains why the kernel refused a transaction of nf_tables: which object, and the remedy. The
 * kernel tells only a message's number and an errno. ENOENT is also its word for a missing module.
 */
#ifndef SIDESTEP_DATAPATH_NFT_FAILURE_H
#define SIDESTEP_DATAPATH_NFT_FAILURE_H

#include <libmnl/libmnl.h>
#include <stdint.h>

struct nft_failure {
	int error;	  /* negative errno */
	uint8_t family;	  /* of the table; NFPROTO_UNSPEC: the transaction as a whole */
	char object[128]; /* "chain guard", "the expression tproxy in chain arrive" */
	/* The modules and kernel options that it needs; NULL: nothing special. */
	const char *needs;
};

/* Fills @ret_failure with the object of @message (NULL: the transaction as a whole), which was
 * refused with @error (negative errno). */
void nft_failure_describe(const struct nlmsghdr *message, int error,
			  struct nft_failure *ret_failure);

/* Logs that nftables has refused to do @action ("install ..."), and the remedy. Returns the
 * failure's errno. */
int nft_failure_log(const struct nft_failure *failure, const char *action);

#endif
