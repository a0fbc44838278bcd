// SPDX-License-Identifier: Apache-2.0
#include "stream/relay_pipe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/util.h"

/* The most pipes of one thread. 64 of full capacity are half of an unprivileged user's limit
 * (pipe-user-pages-soft, 64 MiB). Beyond it, pipes have the kernel's default capacity. */
#define RELAY_PIPES 64

static void pipe_free(struct relay_pipes *pipes, struct relay_pipe *pipe)
{
	(void)safe_close(pipe->read_end);
	(void)safe_close(pipe->write_end);
	free(pipe);
	pipes->count--;
}

struct relay_pipe *relay_pipe_take(struct relay_pipes *pipes)
{
	struct relay_pipe *pipe = pipes->idle;
	int ends[2];

	if (pipe) {
		pipes->idle = pipe->next;
		pipes->in_use++;
		return pipe;
	}
	if (pipes->count >= RELAY_PIPES)
		return NULL;
	pipe = malloc(sizeof(*pipe));
	if (!pipe)
		return NULL;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		free(pipe);
		return NULL;
	}
	/* The kernel's default capacity is fine where this is refused. */
	(void)fcntl(ends[1], F_SETPIPE_SZ, RELAY_PIPE_SIZE);
	*pipe = (struct relay_pipe) {.read_end = ends[0], .write_end = ends[1]};
	pipes->count++;
	pipes->in_use++;
	return pipe;
}

void relay_pipe_release(struct relay_pipes *pipes, struct relay_pipe *pipe, bool empty)
{
	pipes->in_use--;
	if (!empty) {
		pipe_free(pipes, pipe);
		return;
	}
	pipe->next = pipes->idle;
	pipes->idle = pipe;
}

void relay_pipes_free(struct relay_pipes *pipes)
{
	while (pipes->idle) {
		struct relay_pipe *pipe = pipes->idle;

		pipes->idle = pipe->next;
		pipe_free(pipes, pipe);
	}
}
