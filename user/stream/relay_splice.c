// SPDX-License-Identifier: Apache-2.0
#include "stream/relay_splice.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <linux/tcp.h>

#include "lib/util.h"

/* The most pipes of one thread. 64 of full capacity are half of an unprivileged user's limit
 * (pipe-user-pages-soft, 64 MiB). Beyond it, pipes have the kernel's default capacity. */
#define RELAY_PIPES 64
/* The capacity asked for, bytes: the length of a near sender's queue. */
#define RELAY_PIPE_SIZE (512 * 1024)
/*
 * A near peer needs no long queues, and bytes that wait in one have left the processor's caches
 * before they are read. The kernel doubles the sizes for its own needs (socket(7)). With a round
 * trip just below the limit they suffice for 40 Gbit/s.
 */
#define RELAY_NEAR_US	   100
#define RELAY_NEAR_RECEIVE (256 * 1024)
#define RELAY_NEAR_SEND	   (512 * 1024)
/* Splices below RELAY_SMALL bytes that end the bulk mode, in a row. */
#define RELAY_SMALL	    16384
#define RELAY_SMALL_SPLICES 8

struct relay_pipe {
	struct relay_pipe *next;
	int read_end;
	int write_end;
};

static void pipe_free(struct relay_pool *pool, struct relay_pipe *pipe)
{
	(void)safe_close(pipe->read_end);
	(void)safe_close(pipe->write_end);
	free(pipe);
	pool->pipes--;
}

void relay_splice_free(struct relay_pool *pool)
{
	while (pool->idle_pipes) {
		struct relay_pipe *pipe = pool->idle_pipes;

		pool->idle_pipes = pipe->next;
		pipe_free(pool, pipe);
	}
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

void relay_splice_release(struct relay_pool *pool, struct relay_direction *direction)
{
	struct relay_pipe *pipe = direction->pipe;

	if (!pipe)
		return;
	direction->pipe = NULL;
	pool->pipes_in_use--;
	/* A pipe that holds bytes is of no use to others. */
	if (direction->piped > 0) {
		direction->piped = 0;
		pipe_free(pool, pipe);
		return;
	}
	pipe->next = pool->idle_pipes;
	pool->idle_pipes = pipe;
}

/* Sets the size of a TCP socket's @queue (SO_RCVBUF or SO_SNDBUF) if its peer is near. */
static void shorten_near_queue(int fd, int queue, int size)
{
	struct tcp_info info;
	socklen_t info_size = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &info_size) == 0 &&
	    info_size >= offsetof(struct tcp_info, tcpi_min_rtt) + sizeof(info.tcpi_min_rtt) &&
	    info.tcpi_min_rtt < RELAY_NEAR_US)
		(void)setsockopt(fd, SOL_SOCKET, queue, &size, sizeof(size));
}

void relay_splice_begin(struct relay *relay, int index)
{
	relay->direction[index].bulk = true;
	shorten_near_queue(relay->side[index].fd, SO_RCVBUF, RELAY_NEAR_RECEIVE);
	shorten_near_queue(relay->side[!index].fd, SO_SNDBUF, RELAY_NEAR_SEND);
}

bool relay_splice_prepare(struct relay *relay, int index)
{
	struct relay_direction *direction = &relay->direction[index];

	if (!direction->pipe)
		direction->pipe = pipe_take(relay->pool);
	return direction->pipe;
}

ssize_t relay_splice_in(struct relay *relay, int index)
{
	struct relay_direction *direction = &relay->direction[index];
	struct loop_handler *from = &relay->side[index];
	ssize_t size;

	size = splice(from->fd, NULL, direction->pipe->write_end, NULL, RELAY_PIPE_SIZE,
		      SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (size < 0 && errno == EINVAL) {
		direction->no_splice = true;
		direction->bulk = false;
		return 1;
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
	if (size >= RELAY_SMALL) {
		direction->small_splices = 0;
	} else if (++direction->small_splices >= RELAY_SMALL_SPLICES) {
		direction->bulk = false;
		direction->full_reads = 0;
		direction->small_splices = 0;
	}
	return size;
}

ssize_t relay_splice_out(struct relay *relay, int index)
{
	struct relay_direction *direction = &relay->direction[index];
	ssize_t size = splice(direction->pipe->read_end, NULL, relay->side[!index].fd, NULL,
			      direction->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (size > 0) {
		direction->piped -= (uint32_t)size;
		relay->pool->spliced += (uint64_t)size;
	}
	return size;
}
