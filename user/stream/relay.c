// SPDX-License-Identifier: Apache-2.0
#include "stream/relay.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct relay_pool *relay_pool_new(struct loop *loop)
{
	struct relay_pool *pool = malloc(sizeof(*pool));

	if (!pool)
		return NULL;
	/* The buffer is not touched: its pages come with use. */
	memset(pool, 0, offsetof(struct relay_pool, buffer));
	pool->loop = loop;
	return pool;
}

void relay_pool_free(struct relay_pool *pool)
{
	if (!pool)
		return;
	relay_pipes_free(&pool->pipes);
	free(pool);
}

void relay_init(struct relay *relay, struct relay_pool *pool)
{
	memset(relay, 0, sizeof(*relay));
	relay->pool = pool;
	relay->side[0].fd = -1;
	relay->side[1].fd = -1;
}

bool relay_hung_up(int fd)
{
	struct pollfd end = {.fd = fd};

	return poll(&end, 1, 0) > 0 && (end.revents & POLLHUP);
}

void relay_inline_urgent(int fd)
{
	static const int one = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &one, sizeof(one));
}

void relay_reset_on_close(int fd)
{
	static const struct linger linger = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

void relay_pipe_drop(struct relay_pool *pool, struct relay_direction *direction)
{
	if (!direction->pipe)
		return;
	relay_pipe_release(&pool->pipes, direction->pipe, direction->piped == 0);
	direction->pipe = NULL;
	direction->piped = 0;
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
		relay_pipe_drop(relay->pool, direction);
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
