// SPDX-License-Identifier: Apache-2.0
#include "stream/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/tcp.h>

#include "lib/util.h"

/* Pipes of one thread, and the capacity asked for: what a near sender's queue holds. 64 of them are
 * half of what an unprivileged user may have (pipe-user-pages-soft, 64 MiB); beyond that, pipes
 * have the kernel's default. */
#define RELAY_PIPES	64
#define RELAY_PIPE_SIZE (512 * 1024)
/*
 * A peer that is near needs no long queues, and what lies in a long one has left the processor's
 * caches before it is read. The kernel doubles the sizes for its own needs (socket(7)); with a
 * round trip just below the limit they are enough for 40 Gbit/s.
 */
#define RELAY_NEAR_US	   100
#define RELAY_NEAR_RECEIVE (256 * 1024)
#define RELAY_NEAR_SEND	   (512 * 1024)
/* A direction yields to the other connections after this many bytes. */
#define RELAY_BUDGET (1024 * 1024)
/* A read that counts as large, and how many in a row switch to splice. */
#define RELAY_LARGE	  (RELAY_BUFFER / 2)
#define RELAY_LARGE_READS 2
/* Splices in a row below RELAY_SMALL bytes that switch back. */
#define RELAY_SMALL	    16384
#define RELAY_SMALL_SPLICES 8

struct relay_pipe {
	struct relay_pipe *next;
	int read_end;
	int write_end;
};

struct relay_pool *relay_pool_new(struct loop *loop)
{
	struct relay_pool *pool = malloc(sizeof(*pool));

	if (!pool)
		return NULL;
	/* The buffer is left alone: its pages come with use. */
	memset(pool, 0, offsetof(struct relay_pool, buffer));
	pool->loop = loop;
	return pool;
}

static void pipe_free(struct relay_pool *pool, struct relay_pipe *pipe)
{
	(void)safe_close(pipe->read_end);
	(void)safe_close(pipe->write_end);
	free(pipe);
	pool->pipes--;
}

void relay_pool_free(struct relay_pool *pool)
{
	if (!pool)
		return;
	while (pool->idle_pipes) {
		struct relay_pipe *pipe = pool->idle_pipes;

		pool->idle_pipes = pipe->next;
		pipe_free(pool, pipe);
	}
	free(pool);
}

static struct relay_pipe *pipe_take(struct relay_pool *pool)
{
	struct relay_pipe *pipe = pool->idle_pipes;
	int ends[2];

	if (pipe) {
		pool->idle_pipes = pipe->next;
		pool->pipes_in_use++;
		return pipe;
	}
	if (pool->pipes >= RELAY_PIPES)
		return NULL;
	pipe = malloc(sizeof(*pipe));
	if (!pipe)
		return NULL;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		free(pipe);
		return NULL;
	}
	/* The kernel's default is fine where this is refused. */
	(void)fcntl(ends[1], F_SETPIPE_SZ, RELAY_PIPE_SIZE);
	*pipe = (struct relay_pipe) {.read_end = ends[0], .write_end = ends[1]};
	pool->pipes++;
	pool->pipes_in_use++;
	return pipe;
}

/* Gives the direction's pipe back; one that holds bytes is of no use to others. */
static void pipe_release(struct relay_pool *pool, struct relay_direction *direction)
{
	struct relay_pipe *pipe = direction->pipe;

	if (!pipe)
		return;
	direction->pipe = NULL;
	pool->pipes_in_use--;
	if (direction->piped > 0) {
		direction->piped = 0;
		pipe_free(pool, pipe);
		return;
	}
	pipe->next = pool->idle_pipes;
	pool->idle_pipes = pipe;
}

void relay_init(struct relay *relay, struct relay_pool *pool)
{
	memset(relay, 0, sizeof(*relay));
	relay->pool = pool;
	relay->side[0].fd = -1;
	relay->side[1].fd = -1;
}

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

void relay_reset_on_close(int fd)
{
	static const struct linger linger = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

void relay_close(struct relay *relay, bool reset)
{
	int i;

	relay->finished = true;
	loop_cancel(&relay->again);
	for (i = 0; i < 2; i++) {
		struct relay_direction *direction = &relay->direction[i];

		if (reset && relay->side[i].fd >= 0)
			relay_reset_on_close(relay->side[i].fd);
		loop_close(&relay->side[i]);
		free(direction->buffer);
		direction->buffer = NULL;
		pipe_release(relay->pool, direction);
	}
}

size_t relay_memory(const struct relay *relay)
{
	size_t size = 0;
	int i;

	for (i = 0; i < 2; i++)
		size += (relay->direction[i].buffer ? relay->direction[i].end : 0) +
			relay->direction[i].piped;
	return size;
}

/* The target took @size bytes of what was kept. */
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
			size = splice(direction->pipe->read_end, NULL, to->fd, NULL,
				      direction->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno != EAGAIN)
			return -errno;
		if (size <= 0) {
			to->latched &= ~(uint32_t)EPOLLOUT;
			return 0;
		}
		relay->moved[index] += (uint64_t)size;
		if (direction->buffer) {
			kept_written(direction, (size_t)size);
		} else {
			direction->piped -= (uint32_t)size;
			relay->pool->spliced += (uint64_t)size;
		}
	}
	return 1;
}

int relay_write(struct relay *relay, int index, size_t size)
{
	struct loop_handler *to = &relay->side[!index];
	const char *data = relay->pool->buffer;
	/* The end follows at once, and can go in the same packet. */
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

/* Sets a queue (SO_RCVBUF, SO_SNDBUF) of a TCP socket whose peer is near to so many bytes. */
static void shorten_near_queue(int fd, int queue, int size)
{
	struct tcp_info info;
	socklen_t info_size = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_size) == 0 &&
	    info_size >= offsetof(struct tcp_info, tcpi_min_rtt) + sizeof(info.tcpi_min_rtt) &&
	    info.tcpi_min_rtt < RELAY_NEAR_US)
		(void)setsockopt(fd, SOL_SOCKET, queue, &size, sizeof(size));
}

static void direction_bulk(struct relay *relay, int index)
{
	relay->direction[index].bulk = true;
	shorten_near_queue(relay->side[index].fd, SO_RCVBUF, RELAY_NEAR_RECEIVE);
	shorten_near_queue(relay->side[!index].fd, SO_SNDBUF, RELAY_NEAR_SEND);
}

/* One read(2) from the source with its writes. Bytes read, 0: no more now, negative: failed. */
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
	/* epoll(7): a short read means that the next event will tell, unless one already did. */
	if (size < RELAY_BUFFER && !relay->exhaust[index])
		from->latched &= ~(uint32_t)EPOLLIN;
	if (size < RELAY_LARGE)
		direction->full_reads = 0;
	else if (++direction->full_reads >= RELAY_LARGE_READS && !direction->no_splice)
		direction_bulk(relay, index);
	error = relay_write(relay, index, (size_t)size);
	return error < 0 ? error : size;
}

/* One splice(2) into a pipe; the flush takes it out. Returns as direction_copy(). */
static ssize_t direction_splice(struct relay *relay, int index)
{
	struct relay_direction *direction = &relay->direction[index];
	struct loop_handler *from = &relay->side[index];
	ssize_t size;

	if (!direction->pipe)
		direction->pipe = pipe_take(relay->pool);
	if (!direction->pipe)
		return direction_copy(relay, index);
	size = splice(from->fd, NULL, direction->pipe->write_end, NULL, RELAY_PIPE_SIZE,
		      SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (size < 0 && errno == EINVAL) {
		direction->no_splice = true;
		direction->bulk = false;
		return direction_copy(relay, index);
	}
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
	direction->piped = (uint32_t)size;
	/* Back to read(2) when splicing has not paid for a while. */
	if (size >= RELAY_SMALL) {
		direction->small_splices = 0;
	} else if (++direction->small_splices >= RELAY_SMALL_SPLICES) {
		direction->bulk = false;
		direction->full_reads = 0;
		direction->small_splices = 0;
	}
	return size;
}

/* Moves what can be moved one way. 0 or negative errno. */
static int direction_pump(struct relay *relay, int index)
{
	struct relay_direction *direction = &relay->direction[index];
	size_t budget = RELAY_BUDGET;
	int flushed;

	if (direction->closed)
		return 0;
	while ((flushed = relay_flush(relay, index)) > 0) {
		ssize_t size;

		if (direction->ended || !(relay->side[index].latched & EPOLLIN))
			break;
		if (budget == 0) {
			loop_defer(relay->pool->loop, &relay->again);
			break;
		}
		size = direction->bulk ? direction_splice(relay, index)
				       : direction_copy(relay, index);
		if (size < 0)
			return (int)size;
		budget -= (size_t)size < budget ? (size_t)size : budget;
	}
	if (flushed < 0)
		return flushed;
	if (direction->piped == 0)
		pipe_release(relay->pool, direction);
	if (flushed > 0 && direction->ended) {
		direction->closed = true;
		/* Fails only when the target is gone, which its own event tells. The last end is
		 * told by the close that follows. */
		if (!relay->direction[!index].closed)
			(void)shutdown(relay->side[!index].fd, SHUT_WR);
	}
	return 0;
}

static void relay_finish(struct relay *relay, bool reset)
{
	relay->finished = true;
	loop_cancel(&relay->again);
	relay->finish(relay, reset);
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
		relay_finish(relay, true);
	else if (relay->direction[0].closed && relay->direction[1].closed)
		relay_finish(relay, false);
}

/* Keeps what an event says that is not said again. */
static void relay_heed(struct relay *relay, int index, uint32_t events)
{
	if (events & (EPOLLRDHUP | EPOLLHUP))
		relay->ending[index] = true;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLPRI)) {
		relay->exhaust[index] = true;
		relay->side[index].latched |= EPOLLIN;
	}
}

static void relay_event(struct relay *relay, int index, uint32_t events)
{
	/* While the relay waits for one side to take bytes it does not read the other, so its reset
	 * is seen here or not at all. */
	if (events & EPOLLERR) {
		relay_finish(relay, true);
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
	relay_pump(relay);
}
