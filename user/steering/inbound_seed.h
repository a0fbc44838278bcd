/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records connections from outside that are older than the datapath, so that their replies pass.
 * After a restart there are some. Call it after steering_prepare(), because the bypassed subnets
 * tell outside from inside.
 */
#ifndef SIDESTEP_INBOUND_SEED_H
#define SIDESTEP_INBOUND_SEED_H

#include <stdbool.h>
#include <stdint.h>

#include "steering/steering.h"

struct tcp_info;

/* Sidecar mode: records TCP sockets of this network namespace that were accepted, as far as
 * sock_diag(7) tells. Their local port has a listener, their peer is no socket here, and
 * inbound_seed_opened_here() is false. Returns their number or negative errno. */
int inbound_seed_sockets(struct steering *steering);

/* Bridge mode: records tracked connections (ctnetlink). Returns their number or negative errno. */
int inbound_seed_conntrack(struct steering *steering);

/*
 * Tells whether a socket opened its connection, from its state, the bytes that are @queued
 * (SIOCOUTQ) and its tcp_info. The kernel counts the SYN of the side that opened among the bytes
 * that were acknowledged and not among those that were sent (tcp_snd_una_update(),
 * net/ipv4/tcp_input.c). A socket whose sending has failed may not be recognised.
 */
bool inbound_seed_opened_here(int state, uint32_t queued, const struct tcp_info *info);

#endif
