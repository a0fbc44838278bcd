/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions of nf_tables: messages that are put together in memory, and that the kernel takes as
 * a whole or not at all. libnftnl writes the messages, libmnl is the socket.
 */
#ifndef SIDESTEP_DATAPATH_NFT_BATCH_H
#define SIDESTEP_DATAPATH_NFT_BATCH_H

#include <libmnl/libmnl.h>
#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath_nft_failure.h"
#include "lib/util.h"

/* Room that nft_batch_message() leaves for one message, bytes. */
#define NFT_MESSAGE_ROOM 32768

/* The largest batch, bytes. Full sets (4096 prefixes of each family in both tables, 65536 inbound
 * connections) take less than 8 MB. */
#define NFT_BATCH_MAX (16 << 20)

/* Name of all our tables. Their families (NFPROTO_*) tell them apart. */
#define NFT_TABLE_NAME "sidestep"

struct nft_batch {
	char *messages;
	size_t length, room; /* bytes */
	struct nlmsghdr *last;
	uint32_t sequence;
	int error; /* the first negative errno: nothing is added any more */
};

/* Begins a transaction. Errors are told by nft_batch_commit(). */
void nft_batch_open(struct nft_batch *batch);

static inline void nft_batch_release(struct nft_batch *batch)
{
	cleanup_free(&batch->messages);
}

#define _cleanup_batch_ _cleanup_(nft_batch_release)

/* A new message (NFT_MSG_*) with its headers, for a table of @family. It grows in place by
 * NFT_MESSAGE_ROOM at most. It is part of the batch after nft_batch_add(). NULL after an error. */
struct nlmsghdr *nft_batch_message(struct nft_batch *batch, uint16_t type, uint8_t family,
				   uint16_t flags);
void nft_batch_add(struct nft_batch *batch, struct nlmsghdr *message);

/* Keeps the first error (negative errno) of a batch. */
void nft_batch_fail(struct nft_batch *batch, int error);

/* Opens the socket for transactions in this network namespace, for one thread at a time. Returns 0
 * or negative errno. */
int nft_socket_open(struct mnl_socket **ret_socket);

/* Closes it. NULL is fine. */
void nft_socket_close(struct mnl_socket *socket);

/* Has the kernel check the batch, and do nothing of it. Returns as nft_batch_commit(). */
int nft_batch_check(struct mnl_socket *socket, struct nft_batch *batch,
		    struct nft_failure *ret_failure);

/* Ends the batch and has the kernel do it. Returns 0, or a negative errno with @ret_failure
 * filled. */
int nft_batch_commit(struct mnl_socket *socket, struct nft_batch *batch,
		     struct nft_failure *ret_failure);

#endif
