/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the connections that came from outside before the datapath was there, so that their
 * replies pass: after a restart, say. After
 * steering_prepare(): what is bypassed tells outside from inside.
 */
#ifndef SIDESTEP_INBOUND_SEED_H
#define SIDESTEP_INBOUND_SEED_H

#include "steering/steering.h"

/* Sidecar: TCP sockets of this network namespace whose local port has a listener (sock_diag(7)).
 * Returns how many, or negative errno. */
int inbound_seed_sockets(struct steering *steering);

/* Bridge mode: what connection tracking knows (ctnetlink). Returns how many, or negative errno. */
int inbound_seed_conntrack(struct steering *steering);

#endif
