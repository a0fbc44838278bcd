/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datapath of an nftables table in this network namespace, for a process that has CAP_NET_ADMIN
 * and no other rights. It exists in sidecar mode only.
 *
 * Routes and rules bring the traffic to lo as with BPF (user/steering/plan.c). One more rule
 * (plan_input.out_mark) lets packets that the table lets out skip our other rules. Inbound
 * packets do not carry the mark, so source validation is unchanged. An application that sets the
 * mark gains nothing, because the table clears it.
 *
 * The table outlives a killed process on purpose. It then refuses connections, as nobody listens,
 * and lets out replies only. See docs/ARCHITECTURE.md.
 */
#ifndef SIDESTEP_DATAPATH_NFT_H
#define SIDESTEP_DATAPATH_NFT_H

#include <stdbool.h>

#include "datapath/datapath.h"
#include "datapath/datapath_nft_failure.h"

struct datapath_nft_config {
	enum sidestep_udp udp;
	bool redirect; /* also where the kernel has tproxy */
};

/* Parts that the kernel lacks. */
struct datapath_nft_finding {
	bool redirect;		    /* tproxy: connections are redirected */
	bool no_timeouts;	    /* timeouts of single connections */
	bool no_reject;		    /* connections cannot be reset */
	bool no_socket;		    /* the proxy's sockets cannot be told from others */
	bool no_egress;		    /* devices cannot be guarded */
	struct nft_failure failure; /* why the tables are refused */
};

/* Makes the datapath. datapath_attach() installs the tables, in place of those that a killed
 * predecessor left. Returns 0 or negative errno, logged. */
int datapath_nft_new(const struct datapath_nft_config *config, struct datapath **ret_datapath);

/* Removes the tables that a predecessor left in the network namespace, if there are any. */
void datapath_nft_clear(void);

/* Has the kernel check the tables that this process would install, and do nothing of it. Returns 0
 * or negative errno, not logged. */
int datapath_nft_try(struct datapath_nft_finding *ret_finding);

#endif
