/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs attached programs on made-up packets (BPF_PROG_TEST_RUN). No packet leaves, but a program
 * counts such a packet as it counts any other.
 *
 * The counters tell the verdict. Other packets of the same moment and processor count as well. So
 * a program runs PROBE_RUNS times, and the counts that all runs have in common are its own.
 */
#ifndef SIDESTEP_PROGRAMS_PROBE_H
#define SIDESTEP_PROGRAMS_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include "programs/programs_seen.h"

#define PROBE_RUNS 3

/* Room for an Ethernet frame and for the answer to it, bytes. */
#define PROBE_FRAME_MAX 256

/* A packet that a socket sends. Addresses are as in lib/address.h, ports in host byte order. */
struct probe_packet {
	uint8_t source[16], destination[16];
	uint16_t source_port, destination_port;
	uint8_t protocol; /* IPPROTO_TCP: a SYN, IPPROTO_UDP */
};

/* The packet's end. */
enum probe_fate {
	PROBE_NEXT,	  /* it goes on */
	PROBE_REDIRECTED, /* it leaves by another device */
	PROBE_DROPPED,
	PROBE_RESET,	/* it became an RST to its sender */
	PROBE_REFUSED,	/* it became an ICMP error to its sender */
	PROBE_ASSIGNED, /* `steer`: to a listener of the proxy's */
};

struct probe_result {
	enum probe_fate fate;
	uint64_t counted[SIDESTEP_COUNTERS]; /* by all runs; enum sidestep_verdict */
	int verdict;			     /* what was counted, or -1: nothing */
};

/* Runs a TC program on the Ethernet frame of @packet, on a device of the calling thread's network
 * namespace. Returns 0 or a negative errno. */
int probe_frame(const struct programs_view *view, const struct programs_seen *seen,
		const struct probe_packet *packet, uint32_t ifindex, struct probe_result *ret);

/* Runs `steer`. @lo_ingress: the program that runs on lo before it, or NULL. Returns 0 or a
 * negative errno; -EOPNOTSUPP: before Linux 5.13. */
int probe_lookup(const struct programs_view *view, const struct programs_seen *steer,
		 const struct programs_seen *lo_ingress, const struct probe_packet *packet,
		 struct probe_result *ret);

#endif
