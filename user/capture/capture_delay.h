/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds packets back for a moment, so that secrets which open them come first in the file. A server
 * derives the keys for the client's first data only when it has read the client's Finished (RFC
 * 8446 section 7.1). Both may be in one packet, which has passed by then.
 */
#ifndef SIDESTEP_CAPTURE_DELAY_H
#define SIDESTEP_CAPTURE_DELAY_H

#include <stddef.h>
#include <stdint.h>

#include "capture/capture_flows.h"
#include "lib/list.h"

/* How long a packet is held back, ms. */
#define CAPTURE_DELAY_MS 200

/* The most bytes that are held back. The oldest ones go on beyond it. */
#define CAPTURE_DELAY_MAX (64 << 20)

struct capture_delay {
	struct list_link packets;
	size_t size;
	/* The packet goes on; the frame is valid during the call. */
	void (*passed)(void *context, const struct capture_packet *packet);
	void *context;
};

void capture_delay_init(struct capture_delay *delay,
			void (*passed)(void *context, const struct capture_packet *packet),
			void *context);

/* Takes a packet at @now_ms (CLOCK_MONOTONIC). Without memory it goes on at once. */
void capture_delay_add(struct capture_delay *delay, uint64_t now_ms,
		       const struct capture_packet *packet);

/* Passes on what was held back for long enough; UINT64_MAX: all. Returns the ms until there is more
 * to do, or -1: nothing is held back. */
int capture_delay_pass(struct capture_delay *delay, uint64_t now_ms);

#endif
