// SPDX-License-Identifier: Apache-2.0
#include "stream/relay_pump.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/util.h"
#include "stream/relay_splice.h"

/* A direction yields to the other connections after this many bytes. */
#define RELAY_BUDGET (1024 * 1024)
/* The size of a large read, and how many of them in a row switch to splice(2). */
#define RELAY_LARGE	  (RELAY_BUFFER / 2)
#define RELAY_LARGE_READS 2

int relay_queue(struct relay *relay, int direction, const void *data, size_t size)
{
	struct relay_direction *to = &relay->direction[direction];
	size_t kept = to->end - to->begin;
	char *buffer;

	if (size == 0)
		return 0;
	if (size > RELAY_BUFFER - kept)
		return -ENOBUFS;
	buffer = malloc(kept + size);
	if (!buffer)
		return -ENOMEM;
	if (kept > 0)
		memcpy(buffer, to->buffer + to->begin, kept);
	memcpy(buffer + kept, data, size);
	free(to->buffer);
	to->buffer = buffer;
	to->begin = 0;
	to->end = (uint32_t)(kept + size);
	return 0;
}

void relay_queue_owned(struct relay *relay, int direction, char *data, size_t size)
{
	struct relay_direction *to = &relay->direction[direction];

	if (size == 0) {
		free(data);
		return;
	}
	to->buffer = data;
	to->begin = 0;
	to->end = (uint32_t)size;
}

void relay_ended(struct relay *relay, int direction)
{
	relay->direction[direction].ended = true;
}

/* The target took @size of the kept bytes. */
static void kept_written(struct relay_direction *direction, size_t size)
{
	direction->begin += (uint32_t)size;
	if (direction->begin < direction->end)
		return;
	free(direction->buffer);
	direction->buffer = NULL;
	direction->begin = 0;
	direction->end = 0;
}

int relay_flush(struct relay *relay, int index)
{
	struct relay_direction *direction = &relay->direction[index];
	struct loop_handler *to = &relay->side[!index];

	while (direction->buffer || direction->piped > 0) {
		ssize_t size;

		if (!(to->latched & EPOLLOUT))
			return 0;
		if (direction->buffer)
			size = send(to->fd, direction->buffer + direction->begin,
				    direction->end - direction->begin, MSG_NOSIGNAL);
		else
			size = relay_splice_out(relay, index);
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno != EAGAIN)
			return -errno;
		if (size <= 0) {
			to->latched &= ~(uint32_t)EPOLLOUT;
			return 0;
		}
		relay->moved[index] += (uint64_t)size;
		if (direction->buffer)
			kept_written(direction, (size_t)size);
	}
	return 1;
}

int relay_write(struct relay *relay, int index, size_t size)
{
	struct loop_handler *to = &relay->side[!index];
	const char *data = relay->pool->buffer;
	/* The FIN follows at once, and can go in the same packet. */
	int more = relay->ending[index] && size < RELAY_BUFFER ? MSG_MORE : 0;

	while (size > 0 && (to->latched & EPOLLOUT)) {
		ssize_t written = send(to->fd, data, size, MSG_NOSIGNAL | more);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0 && errno != EAGAIN)
			return -errno;
		if (written < 0) {
			to->latched &= ~(uint32_t)EPOLLOUT;
			break;
		}
		relay->moved[index] += (uint64_t)written;
		data += written;
		size -= (size_t)written;
	}
	return relay_queue(relay, index, data, size);
}

/* Reads once from the source and writes that to the target. Returns the bytes read, 0: no more now,
 * or negative errno. */
static ssize_t direction_copy(struct relay *relay, int index)
{
	struct relay_direction *direction = &relay->direction[index];
	struct loop_handler *from = &relay->side[index];
	ssize_t size = recv(from->fd, relay->pool->buffer, RELAY_BUFFER, 0);
	int error;

	if (size < 0 && errno != EAGAIN)
		return errno == EINTR ? 1 : -errno;
	if (size < 0) {
		from->latched &= ~(uint32_t)EPOLLIN;
		return 0;
	}
	if (size == 0) {
		direction->ended = true;
		return 0;
	}
	/* After a short read the next event tells of more (epoll(7)), unless one already did. */
	if (size < RELAY_BUFFER && !relay->exhaust[index])
		from->latched &= ~(uint32_t)EPOLLIN;
	if (size < RELAY_LARGE)
		direction->full_reads = 0;
	else if (++direction->full_reads >= RELAY_LARGE_READS && !direction->no_splice)
		relay_splice_begin(relay, index);
	error = relay_write(relay, index, (size_t)size);
	return error < 0 ? error : size;
}

/* Moves at most about @budget bytes one way, until the source or the target blocks. Returns 1 when
 * nothing is kept, 0 when the target takes no more now, or negative errno. */
static int direction_move(struct relay *relay, int index, size_t budget)
{
	struct relay_direction *direction = &relay->direction[index];
	int flushed;

	while ((flushed = relay_flush(relay, index)) > 0) {
		ssize_t size;

		if (direction->ended || !(relay->side[index].latched & EPOLLIN))
			break;
		if (budget == 0) {
			loop_defer(relay->pool->loop, &relay->again);
			break;
		}
		size = direction->bulk && relay_splice_prepare(relay, index)
			       ? relay_splice_in(relay, index)
			       : direction_copy(relay, index);
		if (size < 0)
			return (int)size;
		budget -= (size_t)size < budget ? (size_t)size : budget;
	}
	if (flushed >= 0 && direction->piped == 0)
		relay_pipe_drop(relay->pool, direction);
	return flushed;
}

/* The same, and passes the source's end on. Returns 0 or negative errno. */
static int direction_pump(struct relay *relay, int index)
{
	struct relay_direction *direction = &relay->direction[index];
	int flushed;

	if (direction->closed)
		return 0;
	flushed = direction_move(relay, index, RELAY_BUDGET);
	if (flushed < 0)
		return flushed;
	if (flushed > 0 && direction->ended) {
		direction->closed = true;
		/* Fails only if the target is gone; its own event tells so. The second FIN comes
		 * from the close that follows. */
		if (!relay->direction[!index].closed)
			(void)shutdown(relay->side[!index].fd, SHUT_WR);
		relay->led[!index] = !relay->direction[!index].ended;
	}
	return 0;
}

static void relay_finish(struct relay *relay, bool reset)
{
	relay->finished = true;
	loop_cancel(&relay->again);
	relay->finish(relay, reset);
}

/*
 * A side has failed. The bytes that it sent before still stand in its queue, in front of the error.
 * The other side gets as many as it takes now, whatever their number: the queue does not grow any
 * more. No FIN follows: behind a reset an EOF is no end.
 */
static void relay_fail(struct relay *relay)
{
	int i;

	for (i = 0; i < 2; i++) {
		if (relay->direction[i].closed)
			continue;
		relay->ending[i] = false;
		relay->side[i].latched |= EPOLLIN;
		relay->exhaust[i] = true;
		(void)direction_move(relay, i,
				     relay_hung_up(relay->side[i].fd) ? SIZE_MAX : RELAY_BUDGET);
	}
	relay_finish(relay, true);
}

static void relay_pump(struct relay *relay)
{
	uint64_t before = relay->moved[0] + relay->moved[1];
	int i, error = 0;

	for (i = 0; i < 2 && error == 0; i++)
		error = direction_pump(relay, i);
	if (relay->progress && relay->moved[0] + relay->moved[1] != before)
		relay->progress(relay);
	if (error < 0)
		relay_fail(relay);
	else if (relay->direction[0].closed && relay->direction[1].closed)
		relay_finish(relay, false);
}

/* Remembers the events that the kernel will not repeat. */
static void relay_heed(struct relay *relay, int index, uint32_t events)
{
	if (events & (EPOLLRDHUP | EPOLLHUP))
		relay->ending[index] = true;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLPRI)) {
		relay->exhaust[index] = true;
		relay->side[index].latched |= EPOLLIN;
	}
	/* splice(2) never gets past an urgent byte. */
	if (events & EPOLLPRI) {
		relay->direction[index].no_splice = true;
		relay->direction[index].bulk = false;
	}
}

static void relay_event(struct relay *relay, int index, uint32_t events)
{
	/* While the target is blocked the source is not read: only this shows its reset. */
	if (events & EPOLLERR) {
		relay_fail(relay);
		return;
	}
	relay_heed(relay, index, events);
	relay_pump(relay);
}

static void relay_ready_0(struct loop_handler *handler, uint32_t events)
{
	relay_event(container_of(handler, struct relay, side[0]), 0, events);
}

static void relay_ready_1(struct loop_handler *handler, uint32_t events)
{
	relay_event(container_of(handler, struct relay, side[1]), 1, events);
}

static void relay_again(struct loop_task *task)
{
	relay_pump(container_of(task, struct relay, again));
}

void relay_start(struct relay *relay)
{
	int i;

	relay->started = true;
	relay->side[0].ready = relay_ready_0;
	relay->side[1].ready = relay_ready_1;
	relay->again.run = relay_again;
	for (i = 0; i < 2; i++)
		relay_heed(relay, i, relay->side[i].latched);
	/* The kernel tells an error once, perhaps to a call of the owner. */
	if ((relay->side[0].latched | relay->side[1].latched) & EPOLLERR)
		relay_fail(relay);
	else
		relay_pump(relay);
}
