/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notices that a peer of a relay has vanished, so that neither FIN nor RST will ever come. Its
 * machine is off, or the line to it is cut.
 *
 * The kernel probes silent connections (SO_KEEPALIVE), and each probe is a question that a living
 * peer acknowledges. The watch looks four times within the limit at what was acknowledged. A peer
 * that has acknowledged nothing for half the limit, twice in a row, has vanished. TCP_USER_TIMEOUT
 * would end a connection as well whose peer lives and takes no bytes (tcp_probe_timer,
 * net/ipv4/tcp_timer.c), and a reader that stops is no fault.
 *
 * A connection that ends within a quarter of the limit costs no system call.
 */
#ifndef SIDESTEP_PEER_WATCH_H
#define SIDESTEP_PEER_WATCH_H

#include <stdbool.h>

#include "stream/loop.h"
#include "stream/relay.h"

/* A lower limit would take living peers for vanished. The kernel sends probes by the second, and
 * answers those of a closed window at most twice a second (tcp_invalid_ratelimit). */
#define PEER_WATCH_LIMIT_MIN_MS 4000

/* Shared by the watches of one thread. */
struct peer_watches {
	struct loop *loop;
	struct loop_timer_class ticks;
	unsigned int limit_ms;
};

/* Embedded by its owner, zero-initialised. */
struct peer_watch {
	struct peer_watches *watches;
	const struct relay *relay;
	struct loop_timer timer;
	bool probed[2]; /* the side's keepalive is on */
	bool silent[2]; /* the last look found no sign of life */
	/* The side's peer has vanished. The watch has stopped. */
	void (*vanished)(struct peer_watch *watch, int side);
};

/* @limit_ms: the time after its last sign of life in which a peer is taken for vanished; 0: never.
 */
void peer_watches_init(struct peer_watches *watches, struct loop *loop, unsigned int limit_ms);

/* Watches both sides of @relay. A side that is not registered, not connected or no TCP socket is
 * left out. */
void peer_watch_start(struct peer_watch *watch, struct peer_watches *watches,
		      const struct relay *relay);

/* The side has a new socket. */
void peer_watch_renew(struct peer_watch *watch, int side);

/* Idempotent. */
void peer_watch_stop(struct peer_watch *watch);

#endif
