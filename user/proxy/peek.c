// SPDX-License-Identifier: Apache-2.0
#include "proxy/peek.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/util.h"

static int peek_append(struct peek *peek, const char *data, size_t size)
{
	char *bytes = realloc(peek->bytes, peek->size + size);

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes + peek->size, data, size);
	peek->bytes = bytes;
	peek->size += size;
	return 0;
}

/* Reads until the socket is empty. Returns 1 when more bytes cannot change the hints or will not
 * come, 0 when they can, or negative errno. */
static int peek_read(struct peek *peek)
{
	struct loop_handler *side = peek->side;
	char *buffer = peek->worker->pool->buffer;
	int error;

	while (side->latched & EPOLLIN) {
		size_t room = HINTS_MAX - peek->size;
		ssize_t size = recv(side->fd, buffer, room, 0);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN) {
			side->latched &= ~(uint32_t)EPOLLIN;
			break;
		}
		if (size < 0)
			return -errno;
		if (size == 0) {
			peek->ended = true;
			return 1;
		}
		/* As in the relay: after a short read the next event tells of more. */
		if ((size_t)size < room && !(side->latched & (EPOLLRDHUP | EPOLLPRI)))
			side->latched &= ~(uint32_t)EPOLLIN;
		error = peek_append(peek, buffer, (size_t)size);
		if (error < 0)
			return error;
		peek->final = hints_feed(&peek->hints, (const uint8_t *)peek->bytes, peek->size);
		if (peek->final)
			return 1;
	}
	return 0;
}

static void peek_over(struct peek *peek, int error)
{
	loop_timer_stop(&peek->timer);
	peek->done(peek, error);
}

static void peek_wait_long(struct peek *peek)
{
	peek->client_first = true;
	loop_timer_start(peek->worker->loop, &peek->worker->client_first_class, &peek->timer);
}

static void peek_go_on(struct peek *peek)
{
	int result = peek_read(peek);

	if (result != 0)
		peek_over(peek, result < 0 ? result : 0);
	else if (!peek->client_first && peek->size > 0)
		peek_wait_long(peek);
}

/* On a busy machine this thread is late as well, and no event has told yet of what came meanwhile.
 */
static void peek_expired(struct loop_timer *timer)
{
	struct peek *peek = container_of(timer, struct peek, timer);
	int result;

	peek->side->latched |= EPOLLIN;
	result = peek_read(peek);
	if (result == 0 && !peek->client_first && peek->size > 0)
		peek_wait_long(peek);
	else
		peek_over(peek, result < 0 ? result : 0);
}

static void peek_ready(struct loop_handler *side, uint32_t events)
{
	struct peek *peek = side->owner;

	if (events & EPOLLERR)
		peek_over(peek, -ECONNRESET);
	else if (loop_timer_running(&peek->timer))
		peek_go_on(peek);
}

void peek_start(struct peek *peek, struct worker *worker, struct loop_handler *side, bool tls,
		bool http, bool client_first)
{
	peek->worker = worker;
	peek->side = side;
	peek->timer.expired = peek_expired;
	hints_init(&peek->hints, tls, http);
	side->ready = peek_ready;
	side->owner = peek;
	/* Both are worth a try before any event says so. */
	side->latched = EPOLLIN | EPOLLOUT;
	if (!tls && !http)
		return;
	if (client_first)
		peek_wait_long(peek);
	else
		loop_timer_start(worker->loop, &worker->peek_class, &peek->timer);
	peek_go_on(peek);
}

int peek_more(struct peek *peek)
{
	int result = peek->final || peek->ended ? 0 : peek_read(peek);

	return result < 0 ? result : 0;
}

void peek_release(struct peek *peek)
{
	loop_timer_stop(&peek->timer);
	free(peek->bytes);
	peek->bytes = NULL;
}
