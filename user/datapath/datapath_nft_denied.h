/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ends of denied packets in the tables of the nftables datapath. Each reason has a chain, which
 * sends some of its packets to the log group of datapath_nft_records.h and drops all.
 */
#ifndef SIDESTEP_DATAPATH_NFT_DENIED_H
#define SIDESTEP_DATAPATH_NFT_DENIED_H

#include "datapath/datapath_nft_expr.h"

/* The group of nfnetlink_log, one of this network namespace. */
#define NFT_LOG_GROUP 9300
/* Bytes of a packet that are sent: its headers. */
#define NFT_LOG_BYTES 128
/* Packets a second that each reason sends, and those that may be saved up. */
#define NFT_LOG_RATE  100
#define NFT_LOG_SAVED 100

/* Counts a packet and drops it. */
#define DENY(name_) COUNT(name_), GOTO("drop_" #name_)
/* Sends a packet, if the rate allows. Otherwise the rule ends. */
#define TELL(name_) LIMIT(NFT_LOG_RATE, NFT_LOG_SAVED), LOG(NFT_LOG_GROUP, NFT_LOG_BYTES, #name_)

/* Adds the chains for the reasons @names. With @no_log they only drop. */
void nft_denied_add(const struct nft_table *table, const char *const *names, size_t count,
		    bool no_log);

#endif
