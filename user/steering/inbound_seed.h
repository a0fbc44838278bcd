/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records connections from outside that are older than the datapath, so that their replies pass.
 * After a restart there are some. Call it after steering_prepare(), because the bypassed subnets
 * tell outside from inside.
 */
#ifndef SIDESTEP_INBOUND_SEED_H
#define SIDESTEP_INBOUND_SEED_H

#include "steering/steering.h"

/* Sidecar mode: records TCP sockets of this network namespace whose local port has a listener
 * (sock_diag(7)). Returns their number or negative errno. */
int inbound_seed_sockets(struct steering *steering);

/* Bridge mode: records tracked connections (ctnetlink). Returns their number or negative errno. */
int inbound_seed_conntrack(struct steering *steering);

#endif
