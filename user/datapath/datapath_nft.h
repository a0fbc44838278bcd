/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datapath of an nftables table in this network namespace, for a process that has CAP_NET_ADMIN
 * and nothing else. Sidecar mode only.
 *
 * Routes and rules bring the traffic to lo as with BPF (user/steering/plan.c), and one rule more
 * (plan_input.out_mark) sends by the main table what the table lets out. The mark means nothing on
 * a packet that comes in, so source validation is as without it, and an application that sets it
 * gains nothing: the table clears it. The table outlives a process that is killed, on purpose: it
 * refuses what nobody listens for, and lets nothing out but replies. See docs/ARCHITECTURE.md.
 */
#ifndef SIDESTEP_DATAPATH_NFT_H
#define SIDESTEP_DATAPATH_NFT_H

#include "datapath/datapath.h"

/* Mark of packets that may leave, for struct plan_input. */
#define DATAPATH_NFT_OUT_MARK 0x51de57e9

struct datapath_nft_config {
	bool udp_pass;
};

/* Nothing is installed before datapath_attach(), which also replaces what a killed predecessor
 * left. Returns 0 or negative errno, logged. */
int datapath_nft_new(const struct datapath_nft_config *config, struct datapath **ret_datapath);

/* Asks whether nf_tables is there and may be used by this process. Returns 0 or negative errno, not
 * logged. */
int datapath_nft_probe(void);

#endif
