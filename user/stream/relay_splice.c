// SPDX-License-Identifier: Apache-2.0
#include "stream/relay_splice.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <linux/tcp.h>

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
		direction->pipe = relay_pipe_take(&relay->pool->pipes);
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
	/* An EOF, or an urgent byte: splice(2) stops in front of it (tcp_read_sock). A read
	 * tells. */
	if (size == 0) {
		direction->bulk = false;
		direction->full_reads = 0;
		return 1;
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
