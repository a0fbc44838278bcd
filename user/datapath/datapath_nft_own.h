/* SPDX-License-Identifier: Apache-2.0 */
/* The ports and the mark of the proxy's own sockets, by which the nftables table knows them. */
#ifndef SIDESTEP_DATAPATH_NFT_OWN_H
#define SIDESTEP_DATAPATH_NFT_OWN_H

#include "datapath/datapath_nft_sets.h"

/* Ports of sockets that live as long as the process: 16 for each of at most 64 threads, and the
 * listeners. */
#define NFT_OWN_KEPT_MAX 2048

struct nft_own_list {
	struct nft_own items[NFT_OWN_KEPT_MAX];
	size_t count;
};

/* Returns the local port of a socket in host byte order, or a negative errno. */
int nft_own_port(int fd);

/* Binds the socket to a port, which nobody else gets while the socket holds it. Returns 0 or a
 * negative errno. */
int nft_own_claim(int fd, struct nft_own *ret_own);

/* Appends a port. Returns 0, 1 where it is there already, or -ENOSPC. */
int nft_own_keep(struct nft_own_list *list, const struct nft_own *own);

/* Draws a random mark for them, which is neither 0 nor @taken. Returns 0 where the kernel gives no
 * random number. */
uint32_t nft_own_mark(uint32_t taken);

#endif
