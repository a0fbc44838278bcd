/* SPDX-License-Identifier: Apache-2.0 */
/* One client of the gateway: reads the CONNECT, dials or not, answers, then relays or serves. */
#ifndef SIDESTEP_GATEWAY_CLIENT_H
#define SIDESTEP_GATEWAY_CLIENT_H

#include "gateway/gateway.h"
#include "gateway/gateway_server.h"
#include "stream/loop.h"
#include "stream/relay.h"

struct gateway_client;

/* What the clients of one gateway share. */
struct gateway {
	const struct gateway_config *config;
	struct loop *loop;
	struct relay_pool *pool;
	struct loop_timer_class head_class, dial_class, delay_class;
	struct gateway_client *clients;
	unsigned int client_count;
};

/* Sets up the timer classes; loop, pool and config are set. */
void gateway_client_setup(struct gateway *gateway);

/* Takes over an accepted, nonblocking socket. */
void gateway_client_accept(struct gateway *gateway, int fd);

/* Resets all clients; their memory goes with loop_flush(). */
void gateway_client_reset_all(struct gateway *gateway);

#endif
