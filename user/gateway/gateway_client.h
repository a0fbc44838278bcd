/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients of the reference gateway. Each one's CONNECT is read and answered; then its tunnel is
 * relayed to the target, or served by gateway_server.h.
 */
#ifndef SIDESTEP_GATEWAY_CLIENT_H
#define SIDESTEP_GATEWAY_CLIENT_H

#include "gateway/gateway_config.h"
#include "lib/list.h"
#include "stream/dial.h"
#include "stream/loop.h"
#include "stream/relay.h"

/* Shared by the clients of one gateway. */
struct gateway_clients {
	const struct gateway_config *config;
	struct loop *loop;
	struct relay_pool *pool;
	struct dialer dialer;
	struct loop_timer_class head_class, delay_class;
	struct list_link all;
	unsigned int count;
};

/* Sets up list and timer classes. The owner has set config, loop and pool. */
void gateway_client_setup(struct gateway_clients *clients);

/* Takes over an accepted, nonblocking socket. */
void gateway_client_accept(struct gateway_clients *clients, int fd);

/* Resets all clients. loop_flush() frees their memory. */
void gateway_client_reset_all(struct gateway_clients *clients);

#endif
