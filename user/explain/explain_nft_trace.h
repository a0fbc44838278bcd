/* SPDX-License-Identifier: Apache-2.0 */
/* Follows a packet through the nftables tables, by the kernel's trace events (nft(8), meta
 * nftrace).
 */
#ifndef SIDESTEP_EXPLAIN_NFT_TRACE_H
#define SIDESTEP_EXPLAIN_NFT_TRACE_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

#include "explain/explain.h"
#include "explain/explain_nft_facts.h"

/* Chains of the table that traces the packet, and drops it at its end. */
#define NFT_CHAIN_LEFT	  "left"    /* it would leave by a device */
#define NFT_CHAIN_ARRIVED "arrived" /* a socket of this namespace would get it */

/* Opens a socket that gets the kernel's trace events. Returns 0 or a negative errno. */
int nft_trace_open(struct mnl_socket **ret_socket);

/* Reads events until the packet's end, or for @limit_ms without one. Adds the steps, and sets
 * outcome and verdict. @own_family: of the table with the chains above. Returns whether the packet
 * has come to an end. */
bool nft_trace_follow(struct mnl_socket *socket, const struct nft_table_facts *facts,
		      uint8_t own_family, int limit_ms, struct explain *explain);

#endif
