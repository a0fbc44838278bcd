/* SPDX-License-Identifier: Apache-2.0 */
/* The pipes through which the relays of one thread splice bulk. Empty ones are kept for the next.
 */
#ifndef SIDESTEP_RELAY_PIPE_H
#define SIDESTEP_RELAY_PIPE_H

#include <stdbool.h>

/* The capacity asked for, bytes: the length of a near sender's queue. */
#define RELAY_PIPE_SIZE (512 * 1024)

struct relay_pipe {
	struct relay_pipe *next; /* idle ones */
	int read_end;
	int write_end;
};

/* Zero-initialised at first. */
struct relay_pipes {
	struct relay_pipe *idle;
	unsigned int count; /* idle or in use, limited by RELAY_PIPES */
	unsigned int in_use;
};

/* NULL: none is left. */
struct relay_pipe *relay_pipe_take(struct relay_pipes *pipes);

/* Gives a pipe back; one that is not @empty is closed. */
void relay_pipe_release(struct relay_pipes *pipes, struct relay_pipe *pipe, bool empty);

/* Closes the idle pipes. */
void relay_pipes_free(struct relay_pipes *pipes);

#endif
