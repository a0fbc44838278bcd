/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections to one control API. All of them belong to the control thread.
 *
 * The states of a connection:
 *	REQUEST	the request is being read
 *	DIAL	a CONNECT is waiting for its target
 *	RELAY	bytes pass both ways
 *	LINGER	the answer is sent; further bytes are read and dropped, because unread bytes would
 *		make the kernel send a RST, which destroys the answer at the client
 */
#ifndef SIDESTEP_CONTROL_CLIENT_H
#define SIDESTEP_CONTROL_CLIENT_H

#include "control/control_config.h"
#include "control/control_gate.h"
#include "lib/complaint.h"
#include "lib/list.h"
#include "stream/dial.h"
#include "stream/loop.h"
#include "stream/peer_watch.h"
#include "stream/relay.h"

/* Most connections without a tunnel, and of these that are refused by origin; and most tunnels.
 * Beyond the first two limits the oldest connection is reset, beyond the third a CONNECT is refused
 * (503). */
#define CONTROL_WAITING_MAX 256
#define CONTROL_REFUSED_MAX 32
#define CONTROL_TUNNELS_MAX 16384

/* Time limits for the whole request, for the connection to a tunnel's target, and for lingering. */
#define CONTROL_REQUEST_MS 5000
#define CONTROL_DIAL_MS	   10000
#define CONTROL_LINGER_MS  1000

/* Messages that clients can cause, each limited by itself. */
enum control_complaint {
	CONTROL_COMPLAINT_REQUEST,
	CONTROL_COMPLAINT_DIAL,
	CONTROL_COMPLAINT_LIMIT,
	CONTROL_COMPLAINTS,
};

struct control_list {
	struct list_link by_age; /* oldest first */
	unsigned int count;
};

/* Shared by the connections of one control API. */
struct control_clients {
	struct control_config config;
	struct loop *loop;
	struct relay_pool *pool;
	struct control_gate gate;
	struct dialer dialer;
	struct loop_timer_class request_class, linger_class;
	struct peer_watches watches;
	struct control_list waiting, refused, tunnels;
	struct complaint complaints[CONTROL_COMPLAINTS];
};

/* Sets up lists and timer classes. The owner has set config, loop, pool and gate. */
void control_client_setup(struct control_clients *clients);

/* Takes over an accepted, nonblocking socket. */
void control_client_accept(struct control_clients *clients, int fd, const struct sockaddr *peer);

/* Resets all connections. loop_flush() frees their memory. */
void control_client_reset_all(struct control_clients *clients);

#endif
