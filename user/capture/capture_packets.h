/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the frames of a network device (packet(7)). */
#ifndef SIDESTEP_CAPTURE_PACKETS_H
#define SIDESTEP_CAPTURE_PACKETS_H

#include <stddef.h>
#include <stdint.h>

#include "capture/capture_flows.h"

/* The frames of one call of capture_packets_read(). */
#define CAPTURE_BATCH 64

struct capture_packets;

/* Opens the device @name of the calling thread's network namespace, which takes CAP_NET_RAW.
 * Returns 0 or negative errno. */
int capture_packets_open(const char *name, struct capture_packets **ret_packets);

/* Becomes readable with frames. */
int capture_packets_fd(const struct capture_packets *packets);

/* Reads at most CAPTURE_BATCH frames that have come. *@ret_frames is valid until the next call.
 * Returns their number or negative errno. Each frame is seen once, also on lo. */
int capture_packets_read(struct capture_packets *packets, const struct capture_packet **ret_frames);

/* Returns how many frames were lost since the last call, because nobody read them in time. */
uint64_t capture_packets_lost(const struct capture_packets *packets);

/* NULL is allowed. */
void capture_packets_close(struct capture_packets *packets);

#endif
