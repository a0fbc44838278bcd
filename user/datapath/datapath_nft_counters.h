/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the counters of the nftables tables. */
#ifndef SIDESTEP_DATAPATH_NFT_COUNTERS_H
#define SIDESTEP_DATAPATH_NFT_COUNTERS_H

#include <stdint.h>

#include "sidestep.h"

/* The tables have the counters up to this one. */
#define NFT_COUNTERS (SIDESTEP_SPOOFED + 1)

/* Stores the packets of each counter, by a socket of its own in the calling thread's network
 * namespace. Returns 0 or negative errno. */
int nft_counters_read(uint64_t ret_packets[NFT_COUNTERS]);

#endif
