/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections of a metrics server. All of them belong to its thread.
 *
 * The states of a connection:
 *	REQUEST	the request's head is being read
 *	ANSWER	the answer is being sent
 *	LINGER	the answer is sent; further bytes are read and dropped, because unread bytes would
 *		make the kernel send a RST, which destroys the answer at the client
 */
#ifndef SIDESTEP_METRICS_CLIENT_H
#define SIDESTEP_METRICS_CLIENT_H

#include "lib/list.h"
#include "metrics/metrics_config.h"
#include "metrics/metrics_gate.h"
#include "stream/loop.h"

/* Most connections. Beyond that the oldest is reset. */
#define METRICS_CLIENTS_MAX 16
/* The time limit for a connection, and for what follows its answer. */
#define METRICS_CLIENT_MS 10000
#define METRICS_LINGER_MS 1000

/* Shared by the connections of one server. */
struct metrics_clients {
	struct metrics_server_config config;
	struct loop *loop;
	struct metrics_gate gate;
	struct loop_timer_class request_class, linger_class;
	struct list_link by_age; /* oldest first */
	unsigned int count;
};

/* Sets up the list and the timer classes. The owner has set config, loop and gate. */
void metrics_clients_init(struct metrics_clients *clients);

/* Takes an accepted connection, whose descriptor is the callee's from here on. */
void metrics_client_accept(struct metrics_clients *clients, int fd, const struct sockaddr *peer);

/* Resets all connections. */
void metrics_client_reset_all(struct metrics_clients *clients);

#endif
