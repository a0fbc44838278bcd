/* SPDX-License-Identifier: Apache-2.0 */
/* Tells how full the sets of the nftables table are. */
#ifndef SIDESTEP_DATAPATH_NFT_FILL_H
#define SIDESTEP_DATAPATH_NFT_FILL_H

#include "datapath/datapath.h"

/* Calls @visit with each set, by a socket of its own in the calling thread's network namespace. The
 * kernel counts the elements since Linux 6.16. Before, it would have to list them all, and there is
 * no call. */
void nft_fill_each(datapath_visit_map *visit, void *context);

#endif
