// SPDX-License-Identifier: Apache-2.0
/*
 * Tests the programs of devices whose frames begin with the IP header. The kernel's test run takes
 * two bytes at Ethernet's place for the type of the frame. So the sources here have the type of
 * IPv4 (8.0.0.0/16) or IPv6 (the third word) there.
 */
#include <net/ethernet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/programs_run.h"

#define APP	 "8.0.0.2"
#define APP6	 "fd00:0:86dd::2"
#define PEER	 "8.0.0.3"
#define PEER6	 "fd00:0:86dd::3"
#define OUTSIDE	 "8.0.1.1"
#define OUTSIDE6 "2001:db8:86dd::1"
#define WORLD	 "192.0.2.1"
#define WORLD6	 "2001:db8::1"
#define MTU	 1400

static int load(void **state)
{
	if (run_load_single(state) < 0)
		return -1;
	run_bypass("8.0.0.0/24", SIDESTEP_FROM_CONNECTED);
	run_bypass("8.0.0.2/32", SIDESTEP_FROM_LOCAL);
	run_bypass("fd00:0:86dd::/64", SIDESTEP_FROM_CONNECTED);
	run_bypass("fd00:0:86dd::2/128", SIDESTEP_FROM_LOCAL);
	run_route("0.0.0.0/0", MTU);
	run_route("::/0", MTU);
	return 0;
}

/* Builds a frame whose packet is long enough for the test run, which takes it for a frame. */
static struct frame make(const char *source, const char *destination, struct segment segment)
{
	static const uint8_t data[ETHER_HDR_LEN];
	struct frame frame = frame_make(source, destination, segment);

	frame_put(&frame, data, sizeof(data));
	return frame;
}

/* The packet of an Ethernet frame, as an L3 device has it. */
static struct frame packet_of(const struct frame *frame)
{
	struct frame packet = {.size = 0};

	frame_put(&packet, frame->bytes + ETHER_HDR_LEN, frame->size - ETHER_HDR_LEN);
	return packet;
}

/* Both programs give the frame and its packet the same verdict, move the same counters, and leave
 * the same packet. */
static int same(const char *ethernet, const char *l3, const struct frame *frame)
{
	struct frame packet = packet_of(frame), out, l3_out;
	uint64_t moved[SIDESTEP_COUNTERS], l3_moved[SIDESTEP_COUNTERS];
	int verdict = run_judged(ethernet, frame, moved);

	assert_int_equal(run_judged(l3, &packet, l3_moved), verdict);
	assert_memory_equal(l3_moved, moved, sizeof(moved));
	run_refill_budget();
	(void)run_program_out(ethernet, frame, &out);
	run_refill_budget();
	(void)run_program_out(l3, &packet, &l3_out);
	out = packet_of(&out);
	assert_int_equal(l3_out.size, out.size);
	assert_memory_equal(l3_out.bytes, out.bytes, out.size);
	return verdict;
}

static int leaves(const char *source, const char *destination, struct segment segment)
{
	struct frame frame = make(source, destination, segment);
	struct frame long_frame = frame_with_option(&frame);
	int verdict = same("dev_egress", "l3_egress", &frame);

	assert_int_equal(same("dev_egress", "l3_egress", &long_frame), verdict);
	return verdict;
}

static void test_the_guard_judges_as_on_ethernet(void **state)
{
	struct frame frame = make(APP6, WORLD6, UDP(1, 2)), denied = packet_of(&frame);
	uint64_t moved[SIDESTEP_COUNTERS];

	(void)state;
	assert_int_equal(leaves(APP, PEER, TCP(1, 80, TH_SYN)), VERDICT_NEXT);
	assert_int_equal(leaves(APP6, PEER6, UDP(1, 80)), VERDICT_NEXT);
	assert_int_equal(leaves(APP, WORLD, TCP(1, 80, TH_SYN)), VERDICT_SHOT);
	assert_int_equal(leaves(APP6, WORLD6, TCP(1, 80, TH_ACK)), VERDICT_SHOT);
	assert_int_equal(leaves(APP, WORLD, UDP(1, 53)), VERDICT_SHOT);
	assert_int_equal(leaves(APP6, "ff02::1", UDP(1, 2)), VERDICT_NEXT);
	/* Nobody is answered. */
	assert_int_equal(run_judged("l3_egress", &denied, moved), VERDICT_SHOT);
	assert_int_equal(moved[SIDESTEP_GUARD_DROPS], 1);
	assert_int_equal(moved[SIDESTEP_REFUSED], 0);
}

static void assert_answered(const char *local, const char *remote, uint16_t port)
{
	struct frame syn = make(remote, local, TCP(port, 80, TH_SYN));
	struct frame answer = make(local, remote, TCP(80, port, TH_SYN | TH_ACK));
	struct frame packet = packet_of(&answer);

	assert_int_equal(run_program("l3_egress", &packet), VERDICT_SHOT);
	packet = packet_of(&syn);
	assert_int_equal(run_program("l3_ingress", &packet), VERDICT_NEXT);
	packet = packet_of(&answer);
	assert_int_equal(run_program("l3_egress", &packet), VERDICT_NEXT);
}

static void test_replies_to_what_came_in_pass(void **state)
{
	(void)state;
	assert_answered(APP, OUTSIDE, 1001);
	assert_answered(APP6, OUTSIDE6, 1002);
}

static int arrives(const char *source, const char *destination, struct segment segment)
{
	struct frame frame = make(source, destination, segment);

	return same("dev_ingress", "l3_ingress", &frame);
}

static void test_arrivals_are_treated_as_on_ethernet(void **state)
{
	static const uint8_t mss[] = {2, 4, 0xff, 0xff};
	struct frame syn = frame_make(OUTSIDE, APP, TCP(1003, 80, TH_SYN)), out;

	(void)state;
	assert_int_equal(arrives(OUTSIDE, APP, UDP(1, 80)), VERDICT_NEXT);
	assert_int_equal(arrives(APP, APP, UDP(1, 80)), VERDICT_SHOT);
	assert_int_equal(arrives(APP6, APP6, UDP(1, 80)), VERDICT_SHOT);
	syn.bytes[ETHER_HDR_LEN + 20 + 12] = 6 << 4;
	frame_put(&syn, mss, sizeof(mss));
	assert_int_equal(same("dev_ingress", "l3_ingress", &syn), VERDICT_NEXT);
	syn = packet_of(&syn);
	assert_int_equal(run_program_out("l3_ingress", &syn, &out), VERDICT_NEXT);
	assert_int_equal(out.bytes[42] << 8 | out.bytes[43], MTU - 40);
}

/* A packet socket says what the packet is, and a tunnel's far end reads the packet. */
static void test_a_packet_that_is_not_what_its_sender_says_is_dropped(void **state)
{
	static const char *const sources[] = {"fd00:0:800::2", "8.6.0.2", "172.17.0.2"};
	static const char *const destinations[] = {PEER6, PEER, PEER};
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct frame frame = make(sources[i], destinations[i], UDP(1, 80));
		struct frame packet = packet_of(&frame);

		run_bypass("8.6.0.2/32", SIDESTEP_FROM_LOCAL);
		run_bypass("fd00:0:800::2/128", SIDESTEP_FROM_LOCAL);
		assert_int_equal(run_program("dev_egress", &frame), VERDICT_NEXT);
		assert_int_equal(run_program("l3_egress", &packet), VERDICT_SHOT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_guard_judges_as_on_ethernet),
		cmocka_unit_test(test_replies_to_what_came_in_pass),
		cmocka_unit_test(test_arrivals_are_treated_as_on_ethernet),
		cmocka_unit_test(test_a_packet_that_is_not_what_its_sender_says_is_dropped),
	};

	return cmocka_run_group_tests_name("programs_l3", tests, load, run_unload);
}
