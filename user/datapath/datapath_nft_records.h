/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the denied packets that the tables send to their log group (datapath_nft_denied.h). */
#ifndef SIDESTEP_DATAPATH_NFT_RECORDS_H
#define SIDESTEP_DATAPATH_NFT_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "programs/record_source.h"
#include "sidestep.h"

/* Opens the group of the calling thread's network namespace, which has one reader. Each record is a
 * struct sidestep_denial, whose process has no more than the socket's user. Returns 0 or negative
 * errno; -EBUSY: another process reads it. */
int nft_records_open(struct record_source **ret_source);

/* Fills @ret_flow with what the packet's headers say. @packet begins with the IP header. False:
 * they are unreadable. */
bool nft_records_flow(const uint8_t *packet, size_t size, struct sidestep_flow_key *ret_flow);

#endif
