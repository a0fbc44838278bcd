/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaches the nftables datapath in a network namespace of its own, and lists its tables as nft(8)
 * would. The tests run as root. A failure fails the test.
 */
#ifndef SIDESTEP_TESTS_NFT_BED_H
#define SIDESTEP_TESTS_NFT_BED_H

#include <stdbool.h>
#include <stdint.h>

#include "datapath/datapath_nft.h"

struct prefix nft_bed_prefix(const char *text);

/* Bypasses a subnet. */
void nft_bed_bypass(struct datapath *datapath, const char *text, uint32_t sources);

/* Returns the text that nft(8) would print; the caller frees it. */
char *nft_bed_listing(void);

/* Compares whether the listing has @part. */
void nft_bed_assert_listed(const char *part, bool expected);

/* Enters a new namespace: a set-up of a test. */
int nft_bed_enter(void **state);

/* Returns a datapath that is attached, with addresses and subnets of its own. */
struct datapath *nft_bed_attached(enum sidestep_udp udp);

#endif
