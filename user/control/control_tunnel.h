/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tunnel into the container: connects to the target of a CONNECT and relays bytes both ways. The
 * target is an address of the network namespace, loopback included, and nothing else.
 *
 * The object knows neither requests nor answers. Its owner decides on the target, tells the client,
 * and frees the tunnel.
 */
#ifndef SIDESTEP_CONTROL_TUNNEL_H
#define SIDESTEP_CONTROL_TUNNEL_H

#include <stdbool.h>

#include "lib/address.h"
#include "stream/dial.h"
#include "stream/peer_watch.h"
#include "stream/relay.h"

/* Embedded by its owner, zero-initialised. */
struct control_tunnel {
	struct relay relay; /* side 0: the client's connection, side 1: the target's */
	struct endpoint target;
	struct dial dial;
	struct peer_watch watch;
	/* Called once after control_tunnel_dial(): 0 when the target has accepted, or negative
	 * errno. */
	void (*dialed)(struct control_tunnel *tunnel, int error);
	/* Called once after control_tunnel_relay(): both directions have ended, or @reset says that
	 * one side was reset or has vanished. */
	void (*done)(struct control_tunnel *tunnel, bool reset);
};

/* The owner registers side 0, and may queue bytes for the target until it calls
 * control_tunnel_relay(). */
void control_tunnel_init(struct control_tunnel *tunnel, struct relay_pool *pool);

/* Connects to tunnel->target. Returns 0, and dialed() follows; or negative errno. -EXDEV: the
 * target is no address of the namespace. */
int control_tunnel_dial(struct control_tunnel *tunnel, struct dialer *dialer);

/* Takes both sides over, relays, and watches their peers. May call done() before it returns. */
void control_tunnel_relay(struct control_tunnel *tunnel, struct peer_watches *watches);

/* Closes both sides, with a reset if @reset. Idempotent. */
void control_tunnel_close(struct control_tunnel *tunnel, bool reset);

#endif
