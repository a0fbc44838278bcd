/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries bytes both ways between two stream sockets, with half-close (RFC 9293 section 3.6) and
 * resets passed on as they come.
 *
 * Small exchanges go through one buffer for the whole thread; a direction that moves bulk goes
 * through a pipe by splice(2), which copies nothing. What the reader's side does not take at once
 * is kept, at most RELAY_BUFFER (or one pipe) for each direction, and the other side is not read
 * meanwhile. An idle relay holds neither buffer nor pipe.
 */
#ifndef SIDESTEP_RELAY_H
#define SIDESTEP_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream/loop.h"

/* The thread's buffer, and the most that a direction keeps for a reader that stopped; bytes. */
#define RELAY_BUFFER 65536

/* How the fds of a relay are registered. */
#define RELAY_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET)

struct relay_pipe;

/* What the relays of one thread share. */
struct relay_pool {
	struct loop *loop;
	struct relay_pipe *idle_pipes; /* empty ones, for the next bulk transfer */
	unsigned int pipes;	       /* idle or in use, at most RELAY_PIPES */
	unsigned int pipes_in_use;
	uint64_t spliced; /* bytes moved by splice(2) since the start */
	char buffer[RELAY_BUFFER];
};

/* From source side to the other: 0 from side 0 to side 1. */
struct relay_direction {
	char *buffer; /* what could not be written yet; NULL when empty */
	uint32_t begin, end;
	struct relay_pipe *pipe; /* holds piped bytes; NULL when empty */
	uint32_t piped;
	uint8_t full_reads;    /* large reads in a row */
	uint8_t small_splices; /* in a row */
	bool bulk;	       /* use splice */
	bool no_splice;	       /* these sockets cannot */
	bool ended;	       /* the source said EOF */
	bool closed;	       /* and the target was told */
};

struct relay {
	struct relay_pool *pool;
	struct loop_handler side[2]; /* 0: the application, 1: the gateway */
	struct relay_direction direction[2];
	uint64_t moved[2]; /* bytes taken by the target of each direction */
	struct loop_task again;
	bool started, finished;
	/* Read until EAGAIN, not just until a short read: an event was seen (EOF, urgent data) that
	 * no further event will announce. */
	bool exhaust[2];
	bool ending[2]; /* a side's EOF has arrived, behind what there still is to read */
	/* Bytes have moved since the last call. May be NULL. */
	void (*progress)(struct relay *relay);
	/* Called once, when both directions are closed or one side was reset. The owner then calls
	 * relay_close(), and frees the relay from a task or timer. */
	void (*finish)(struct relay *relay, bool reset);
};

/* NULL with errno set. */
struct relay_pool *relay_pool_new(struct loop *loop);
/* Relays must have been closed. NULL is allowed. */
void relay_pool_free(struct relay_pool *pool);

/* An empty relay, zero-initialised before; progress and finish are the owner's to set. */
void relay_init(struct relay *relay, struct relay_pool *pool);

/* Keeps a copy of bytes that were read before the relay started, to be sent first. At most
 * RELAY_BUFFER in total. Returns 0, -ENOMEM or -ENOBUFS. */
int relay_queue(struct relay *relay, int direction, const void *data, size_t size);

/* The same for memory from malloc(), which is the relay's from here on. Only once. */
void relay_queue_owned(struct relay *relay, int direction, char *data, size_t size);

/* A side's EOF was read before the relay started. */
void relay_ended(struct relay *relay, int direction);

/*
 * Takes over: both sides are registered with RELAY_EVENTS and keep their latched events. May
 * call finish before it returns. Sets TCP_NODELAY nowhere; that is the owner's.
 */
void relay_start(struct relay *relay);

/* For who moves bytes by other means between the same sides (tls_relay.h): sends what is kept for
 * the target of @direction. 1: nothing is left; 0: it takes no more now; negative errno: it failed.
 */
int relay_flush(struct relay *relay, int direction);

/* Likewise: writes @size bytes of the thread's buffer to the target and keeps the rest, which must
 * fit: RELAY_BUFFER in all. 0 or negative errno. */
int relay_write(struct relay *relay, int direction, size_t size);

/* Closes both sides, with RST where @reset (TCP), and releases buffers and pipes. Idempotent. */
void relay_close(struct relay *relay, bool reset);

/* Heap bytes and pipes that the relay holds now. */
size_t relay_memory(const struct relay *relay);

/* The closing socket sends RST instead of FIN (SO_LINGER of 0 s); no effect but on TCP. */
void relay_reset_on_close(int fd);

#endif
