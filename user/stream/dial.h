/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connects a stream socket on an event loop, within a time limit, for one side of a relay.
 *
 * A socket of this process must not be steered itself. So each one is announced to the datapath
 * before its first packet: dial_socket() does that for connections, dial_announce() for other
 * sockets.
 */
#ifndef SIDESTEP_DIAL_H
#define SIDESTEP_DIAL_H

#include <sys/socket.h>

#include "stream/loop.h"

/* Makes sockets known to the datapath. Zero-initialised: nobody wants to know. */
struct dial_announcer {
	/* @destination: the only address that the socket will send to. NULL: any address; the
	 * socket is bound already. Thread safe. May block for as long as a round trip to another
	 * process takes. Returns 0 or negative errno: the socket must not be used then. */
	int (*announce)(void *context, int fd, const struct sockaddr *destination);
	void *context;
};

/* Calls the announcer, if there is one. Returns 0 or negative errno. */
int dial_announce(const struct dial_announcer *announcer, int fd,
		  const struct sockaddr *destination);

/* An unconnected, nonblocking stream socket for @destination (AF_INET, AF_INET6, AF_UNIX): with
 * TCP_NODELAY, SO_REUSEADDR and announced, unless it is a unix socket. Negative errno. */
int dial_socket(const struct dial_announcer *announcer, const struct sockaddr *destination);

/* Shared by the dials of one thread. */
struct dialer {
	struct loop *loop;
	struct loop_timer_class limit_class, retry_class;
};

/* @limit_ms: how long a dial may take. */
void dialer_init(struct dialer *dialer, struct loop *loop, unsigned int limit_ms);

/* One connection attempt. Owners embed it, zero-initialised. */
struct dial {
	struct dialer *dialer;
	struct loop_handler *side;
	const struct sockaddr *address;
	socklen_t size;
	int fd;				/* while a retry is due; else the side has it */
	struct loop_timer limit, retry; /* the limit runs until the dial is over */
	/* Called once. 0: side->fd is connected. Negative errno: it is closed.
	 * -ETIMEDOUT: no answer within the limit. Not called when dial_start() fails. */
	void (*done)(struct dial *dial, int error);
};

/*
 * Connects @fd, which is the dial's from here on, also on failure. @address must stay valid until
 * the dial is over. As the connection gets under way, @side is registered with RELAY_EVENTS. Its
 * ready function is the dial's, which ignores events once the dial is over. A unix socket whose
 * backlog is full is tried again until the limit. Returns 0 or negative errno.
 */
int dial_start(struct dial *dial, struct dialer *dialer, struct loop_handler *side, int fd,
	       const struct sockaddr *address, socklen_t size);

/* Ends the dial without a call of done. A registered side stays the owner's to close. Idempotent.
 */
void dial_cancel(struct dial *dial);

#endif
