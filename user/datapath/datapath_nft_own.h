/* SPDX-License-Identifier: Apache-2.0 */
/* The ports of the proxy's own sockets, by which the nftables table knows them. */
#ifndef SIDESTEP_DATAPATH_NFT_OWN_H
#define SIDESTEP_DATAPATH_NFT_OWN_H

#include "datapath/datapath_nft_sets.h"

/* Returns the local port of a socket in host byte order, or a negative errno. */
int nft_own_port(int fd);

/* Binds the socket to a port, which nobody else gets while the socket holds it. Returns 0 or a
 * negative errno. */
int nft_own_claim(int fd, struct nft_own *ret_own);

#endif
