/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Picks the packets of wanted connections. A connection's name is known only after its first
 * packets have passed, so these are kept until then, within limits.
 */
#ifndef SIDESTEP_CAPTURE_FLOWS_H
#define SIDESTEP_CAPTURE_FLOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/capture_wire.h"

/* The most bytes that are kept of one connection, and of all. A connection with more is given up,
 * and so are the oldest ones. */
#define CAPTURE_FLOW_KEPT  (256 << 10)
#define CAPTURE_FLOWS_KEPT (64 << 20)

struct capture_flows;

struct capture_packet {
	uint64_t time_ns; /* since the epoch */
	size_t length;	  /* of the frame on the wire */
	size_t size;	  /* of what was captured */
	const uint8_t *frame;
};

/*
 * @pattern: the names of wanted connections (fnmatch(3)), or NULL: all. @wanted gets each packet
 * that is wanted, those that were kept in their order; the frame is valid during the call. Returns
 * NULL when out of memory.
 */
struct capture_flows *capture_flows_new(const char *pattern,
					void (*wanted)(void *context,
						       const struct capture_packet *packet),
					void *context);

/* A connection has opened that has a name. Returns whether it is wanted. */
bool capture_flows_name(struct capture_flows *flows, const struct capture_open *open);

/* An Ethernet frame has passed. Frames that are not TCP over IP, and those that stay within the
 * namespace by their addresses, are never wanted. */
void capture_flows_packet(struct capture_flows *flows, const struct capture_packet *packet);

/* NULL is allowed. */
void capture_flows_free(struct capture_flows *flows);

#endif
