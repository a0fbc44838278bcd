/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the BPF programs in the kernel on made-up packets (BPF_PROG_TEST_RUN). */
#ifndef SIDESTEP_TESTS_PROGRAMS_RUN_H
#define SIDESTEP_TESTS_PROGRAMS_RUN_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sidestep.h"

#define VERDICT_NEXT	 (-1)
#define VERDICT_SHOT	 2
#define VERDICT_REDIRECT 7

struct frame {
	uint8_t bytes[320];
	size_t size;
};

/* The header and the facts on top of IP. */
struct segment {
	uint8_t protocol;
	uint16_t source_port, destination_port;
	uint8_t tcp_flags; /* TH_* */
	uint8_t icmp_type;
	uint16_t fragment; /* IPv4: the whole field, host byte order */
};

#define TCP(from, to, flags)                                                                       \
	((struct segment) {.protocol = IPPROTO_TCP,                                                \
			   .source_port = (from),                                                  \
			   .destination_port = (to),                                               \
			   .tcp_flags = (flags)})
#define UDP(from, to)                                                                              \
	((struct segment) {                                                                        \
		.protocol = IPPROTO_UDP, .source_port = (from), .destination_port = (to)})

/* Builds an Ethernet frame with the addresses @source and @destination. */
struct frame frame_make(const char *source, const char *destination, struct segment segment);

/* Appends @size bytes. */
void frame_put(struct frame *frame, const void *bytes, size_t size);

/* Appends an IP packet. */
void frame_put_ip(struct frame *frame, const char *source, const char *destination,
		  const struct segment *segment);

/* Copies @plain with an IP option or extension header, so that no program reads it at fixed
 * offsets. */
struct frame frame_with_option(const struct frame *plain);

/* Set-up and tear-down of a group: they load the programs of one kind with some bypasses. */
int run_load_single(void **state);
int run_load_shared(void **state);
int run_load_bridge(void **state);
int run_unload(void **state);

/* Can the kernel load the shared programs (Linux 6.2)? */
bool run_has_shared(void);

/* A test that stands for the shared ones where the kernel cannot. */
void run_skip_shared(void **state);

/* The number of this process's namespace, which the made-up packets are in. */
uint32_t run_netns(void);

/* From now on bypasses and counters are those of the number @netns. */
void run_as(uint32_t netns);

/* Descriptors of a map and of a program, which the loaded object owns. */
int run_map_fd(const char *name);
int run_program_fd(const char *name);

/* Runs a program on a frame. Returns its verdict. */
int run_program(const char *program, const struct frame *frame);

/* Does likewise, and stores the frame as the program leaves it. */
int run_program_out(const char *program, const struct frame *frame, struct frame *ret_frame);

/* Lets the programs answer as many denied packets as after a long silence (bpf/refuse.h). */
void run_refill_budget(void);

/* Runs dev_egress or dev_ingress on the frame. Returns the verdict. */
int run_guard(const char *source, const char *destination, struct segment segment);
int run_arrive(const char *source, const char *destination, struct segment segment);

/* Refills the budget and runs a program on a frame. Returns its verdict, and the counters that it
 * moves. */
int run_judged(const char *program, const struct frame *frame, uint64_t moved[SIDESTEP_COUNTERS]);

/* Reads a counter. */
uint64_t run_counter(enum sidestep_verdict which);

/* Sets an IPv4 or IPv6 route on the link. @mtu: bytes. */
void run_route(const char *text, uint32_t mtu);

/* Sets a bypass, or deletes it if @sources is 0. */
void run_bypass(const char *text, uint32_t sources);

/* Invalidates the programs' cached bypasses, like programs_bypass_changed(). */
void run_bypass_changed(void);

#endif
