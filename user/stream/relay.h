/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries bytes both ways between two stream sockets. Half-close (RFC 9293 section 3.6) and resets
 * are passed on as they come.
 *
 * Small exchanges go through one buffer that the whole thread shares. A direction that moves bulk
 * goes through a pipe by splice(2), without a copy. Bytes that the target does not take at once are
 * kept: at most RELAY_BUFFER, or one pipe, for each direction. Meanwhile the source is not read. An
 * idle relay holds neither a buffer nor a pipe.
 *
 * This header has the relay's state and its end; relay_pump.h moves the bytes.
 */
#ifndef SIDESTEP_RELAY_H
#define SIDESTEP_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream/loop.h"
#include "stream/relay_pipe.h"

/* Bytes of the thread's buffer, and the most that a direction keeps for a target that stopped. */
#define RELAY_BUFFER 65536

/* The events for which the sides of a relay are registered. */
#define RELAY_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET)

/* Shared by the relays of one thread. */
struct relay_pool {
	struct loop *loop;
	struct relay_pipes pipes;
	uint64_t spliced; /* bytes moved by splice(2) since the start */
	char buffer[RELAY_BUFFER];
};

/* One direction: number 0 leads from side 0 to side 1. */
struct relay_direction {
	char *buffer; /* kept bytes, from begin to end; NULL: none */
	uint32_t begin, end;
	struct relay_pipe *pipe; /* holds piped bytes; NULL: none */
	uint32_t piped;
	uint8_t full_reads;    /* large reads in a row */
	uint8_t small_splices; /* in a row */
	bool bulk;	       /* use splice(2) */
	bool no_splice;	       /* these sockets cannot, or the source has sent an urgent byte */
	bool ended;	       /* the source's EOF was read */
	bool closed;	       /* and passed on to the target */
};

struct relay {
	struct relay_pool *pool;
	struct loop_handler side[2]; /* 0: the application, 1: the gateway */
	struct relay_direction direction[2];
	uint64_t moved[2]; /* bytes taken by the target of each direction */
	struct loop_task again;
	bool started, finished;
	/* Read until EAGAIN, not just until a short read. Set when an event was seen (EOF, urgent
	 * data) that no further event will announce. */
	bool exhaust[2];
	bool ending[2]; /* a side's EOF has arrived, behind bytes that may be unread */
	bool led[2];	/* a side got our FIN before its own EOF was read */
	/* Bytes have moved since the last call. May be NULL. */
	void (*progress)(struct relay *relay);
	/* Called once, when both directions are closed or one side was reset. The owner then calls
	 * relay_close(), and frees the relay from a task or timer. */
	void (*finish)(struct relay *relay, bool reset);
};

/* NULL with errno set. */
struct relay_pool *relay_pool_new(struct loop *loop);

/* All relays of the pool must have been closed. NULL is allowed. */
void relay_pool_free(struct relay_pool *pool);

/* Makes an empty relay. The owner sets progress and finish. */
void relay_init(struct relay *relay, struct relay_pool *pool);

/* Gives the direction's pipe back, if it has one. For relay_pump.c. */
void relay_pipe_drop(struct relay_pool *pool, struct relay_direction *direction);

/* Closes both sides, with RST if @reset (TCP), and releases buffers and pipes. Idempotent. */
void relay_close(struct relay *relay, bool reset);

/* Bytes of heap and pipes that the relay holds now. */
size_t relay_memory(const struct relay *relay);

/* Tells whether nothing more can arrive behind what the socket has to read (POLLHUP of tcp_poll()
 * and unix_poll() in the kernel). */
bool relay_hung_up(int fd);

/*
 * The socket, or each one that a listener will accept, reads urgent bytes in their place among the
 * others (SO_OOBINLINE, RFC 6093 section 4). Without it a read leaves them out.
 */
void relay_inline_urgent(int fd);

/* Closing the socket will send RST instead of FIN (SO_LINGER of 0 s). Affects TCP only. */
void relay_reset_on_close(int fd);

#endif
