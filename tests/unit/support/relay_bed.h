/* SPDX-License-Identifier: Apache-2.0 */
/* A relay that runs in a thread of its own. The test is both peers, with blocking sockets. */
#ifndef SIDESTEP_TESTS_RELAY_BED_H
#define SIDESTEP_TESTS_RELAY_BED_H

#include <pthread.h>
#include <stdbool.h>

#include "stream/relay.h"

struct relay_bed {
	struct loop *loop;
	struct relay_pool *pool;
	struct relay relay;
	pthread_t thread;
	int left, right; /* the peers of sides 0 and 1 */
	/* Starts another owner of the sides in place of the relay. NULL: none. */
	void (*start)(void *context);
	void *context;
	bool finished, reset;
	int progress;
};

/* Makes two pairs of sockets: unix ones if @local, or TCP ones with buffers of @buffer bytes. 0:
 * the default. */
struct relay_bed *relay_bed_new(bool local, int buffer);

/* Starts the thread. */
void relay_bed_start(struct relay_bed *bed);

/* Waits for the relay's end and frees it. */
void relay_bed_end(struct relay_bed *bed, bool reset);

#endif
