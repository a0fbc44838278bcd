// SPDX-License-Identifier: Apache-2.0
/*
 * Tests the outer guard's programs in the running kernel on made-up packets (BPF_PROG_TEST_RUN).
 * The packets come by lo (index 1), which stands for the host's end of a veth.
 */
#include <bpf/bpf.h>
#include <net/ethernet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "programs/counters.h"
#include "support/programs_run.h"

#define NUMBER (4711 | SIDESTEP_OUTER)

static const uint32_t end = LOOPBACK_IFINDEX;
static uint32_t own_number; /* of this process's namespace */

static void set_end(uint32_t number)
{
	const struct sidestep_outer value = {.netns = number, .ifindex = 2};

	assert_int_equal(bpf_map_update_elem(run_map_fd("outer"), &end, &value, BPF_ANY), 0);
}

/* Gives the guard what the agent gives it: subnets of the host's bridge, and the link's own. */
static int load(void **state)
{
	if (run_load_shared(state) < 0)
		return -1;
	own_number = run_netns();
	run_as(NUMBER);
	run_bypass("172.17.0.0/16", SIDESTEP_FROM_CONNECTED);
	run_bypass("fd00::/64", SIDESTEP_FROM_CONNECTED);
	run_bypass("ff02::/16", SIDESTEP_FROM_BUILTIN);
	set_end(NUMBER);
	return counters_prepare(run_map_fd("counters"), NUMBER);
}

static int leave(const char *source, const char *destination, struct segment segment)
{
	struct frame frame = frame_make(source, destination, segment);

	return run_program("host_ingress", &frame);
}

static void come(const char *source, const char *destination, struct segment segment)
{
	struct frame frame = frame_make(source, destination, segment);

	assert_int_equal(run_program("host_egress", &frame), VERDICT_NEXT);
}

static void test_bypassed_traffic_passes(void **state)
{
	(void)state;
	assert_int_equal(leave("172.17.0.2", "172.17.0.3", TCP(1, 80, TH_SYN)), VERDICT_NEXT);
	assert_int_equal(leave("fd00::2", "fd00::3", UDP(1, 5000)), VERDICT_NEXT);
	assert_int_equal(leave("fd00::2", "ff02::1", UDP(1, 5353)), VERDICT_NEXT);
}

static void test_the_rest_is_dropped_and_counted_by_reason(void **state)
{
	uint64_t drops = run_counter(SIDESTEP_GUARD_DROPS);
	uint64_t udp = run_counter(SIDESTEP_DENY_UDP), tcp = run_counter(SIDESTEP_STEER_TCP);

	(void)state;
	assert_int_equal(leave("172.17.0.2", "192.0.2.1", TCP(1, 80, TH_SYN)), VERDICT_SHOT);
	assert_int_equal(leave("fd00::2", "2001:db8::1", TCP(1, 80, TH_ACK)), VERDICT_SHOT);
	assert_int_equal(leave("172.17.0.2", "192.0.2.1", UDP(1, 443)), VERDICT_SHOT);
	assert_int_equal(leave("172.17.0.2", "192.0.2.1", UDP(1, 53)), VERDICT_SHOT);
	/* A source outside the subnets, as if the container had given itself the address. */
	assert_int_equal(leave("10.9.0.2", "172.17.0.3", UDP(1, 5000)), VERDICT_SHOT);
	/* The container's loopback is no link of the host's. */
	assert_int_equal(leave("172.17.0.2", "127.0.0.1", TCP(1, 80, TH_SYN)), VERDICT_SHOT);
	assert_int_equal(run_counter(SIDESTEP_GUARD_DROPS) - drops, 6);
	assert_int_equal(run_counter(SIDESTEP_DENY_UDP) - udp, 2);
	assert_int_equal(run_counter(SIDESTEP_STEER_TCP) - tcp, 3);
}

/* The namespace's own entries, which an application with rights can change, mean nothing here. */
static void test_facts_of_the_namespace_do_not_count(void **state)
{
	(void)state;
	run_as(own_number);
	run_bypass("192.0.2.0/24", SIDESTEP_FROM_CONNECTED | SIDESTEP_FROM_LOCAL);
	assert_int_equal(run_arrive("198.51.100.9", "172.17.0.2", TCP(40000, 80, TH_SYN)),
			 VERDICT_NEXT);
	run_as(NUMBER);
	assert_int_equal(leave("172.17.0.2", "192.0.2.1", TCP(1, 80, TH_SYN)), VERDICT_SHOT);
	assert_int_equal(leave("172.17.0.2", "198.51.100.9", TCP(80, 40000, TH_ACK)), VERDICT_SHOT);
}

static void test_replies_of_flows_that_came_in_by_the_veth_pass(void **state)
{
	static const char *const pairs[][2] = {{"198.51.100.9", "172.17.0.2"},
					       {"2001:db8::9", "fd00::2"}};
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		const char *outside = pairs[i][0], *container = pairs[i][1];

		assert_int_equal(leave(container, outside, TCP(80, 50000, TH_SYN | TH_ACK)),
				 VERDICT_SHOT);
		come(outside, container, TCP(50000, 80, TH_SYN));
		assert_int_equal(leave(container, outside, TCP(80, 50000, TH_SYN | TH_ACK)),
				 VERDICT_NEXT);
		assert_int_equal(leave(container, outside, TCP(80, 50000, TH_ACK)), VERDICT_NEXT);
		assert_int_equal(leave(container, outside, TCP(81, 50000, TH_ACK)), VERDICT_SHOT);
		/* A SYN is never a reply, and ends the flow. */
		assert_int_equal(leave(container, outside, TCP(80, 50000, TH_SYN)), VERDICT_SHOT);
		assert_int_equal(leave(container, outside, TCP(80, 50000, TH_ACK)), VERDICT_SHOT);
		come(outside, container, UDP(50001, 5000));
		assert_int_equal(leave(container, outside, UDP(5000, 50001)), VERDICT_NEXT);
		assert_int_equal(leave(container, outside, UDP(5000, 50002)), VERDICT_SHOT);
	}
}

static void test_udp_passes_where_it_may(void **state)
{
	struct sidestep_namespace value = {.mode = SIDESTEP_MODE_OUTER,
					   .udp_pass = SIDESTEP_UDP_PASS};
	const struct sidestep_listener_key key = {.netns = NUMBER & ~SIDESTEP_OUTER,
						  .listener = SIDESTEP_LISTENER_TCP4};
	uint32_t number = NUMBER;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	uint64_t fd = (uint64_t)listener;

	(void)state;
	assert_int_equal(bpf_map_update_elem(run_map_fd("namespaces"), &number, &value, BPF_ANY),
			 0);
	/* Not while the sidecar is gone. */
	assert_int_equal(leave("172.17.0.2", "192.0.2.1", UDP(1, 443)), VERDICT_SHOT);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(bpf_map_update_elem(run_map_fd("listeners"), &key, &fd, BPF_ANY), 0);
	assert_int_equal(leave("172.17.0.2", "192.0.2.1", UDP(1, 443)), VERDICT_NEXT);
	assert_int_equal(leave("172.17.0.2", "192.0.2.1", UDP(1, 53)), VERDICT_SHOT);
	assert_int_equal(bpf_map_delete_elem(run_map_fd("namespaces"), &number), 0);
	assert_int_equal(leave("172.17.0.2", "192.0.2.1", UDP(1, 443)), VERDICT_SHOT);
	close(listener);
}

static void test_frames_of_other_protocols(void **state)
{
	struct frame frame = frame_make("172.17.0.2", "172.17.0.3", UDP(1, 5000));
	static const uint8_t types[][2] = {{0x88, 0xcc}, {0x86, 0x00}, {0x88, 0x64}};
	static const uint8_t arp[] = {0x08, 0x06};
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		memcpy(frame.bytes + 12, types[i], 2);
		assert_int_equal(run_program("host_ingress", &frame), VERDICT_SHOT);
	}
	memcpy(frame.bytes + 12, arp, 2);
	assert_int_equal(run_program("host_ingress", &frame), VERDICT_NEXT);
}

/* A container may talk with the host, and not in its place. */
static void test_nobody_poses_as_the_host(void **state)
{
	static const uint8_t arp[] = {0x08, 0x06};
	static const uint8_t types[] = {134, 136, 137};
	uint64_t before = run_counter(SIDESTEP_SPOOFED);
	struct frame frame = frame_make("172.17.0.2", "172.17.0.3", UDP(1, 5000));
	struct segment message = {.protocol = IPPROTO_ICMPV6};
	size_t i;

	(void)state;
	run_bypass("172.17.0.1/32", SIDESTEP_FROM_HOST);
	run_bypass("fd00::1/128", SIDESTEP_FROM_HOST);
	assert_int_equal(leave("172.17.0.2", "172.17.0.1", TCP(1, 80, TH_SYN)), VERDICT_NEXT);
	assert_int_equal(leave("172.17.0.1", "172.17.0.3", TCP(1, 80, TH_SYN)), VERDICT_SHOT);
	assert_int_equal(leave("fd00::1", "fd00::3", UDP(1, 5000)), VERDICT_SHOT);
	assert_int_equal(leave("fd00::1", "ff02::1", UDP(1, 5353)), VERDICT_SHOT);
	/* The sender's address in ARP stands where a packet has its transport header. */
	memcpy(frame.bytes + 12, arp, 2);
	memcpy(frame.bytes + ETHER_HDR_LEN + 14, (const uint8_t[]) {172, 17, 0, 1}, 4);
	assert_int_equal(run_program("host_ingress", &frame), VERDICT_SHOT);
	memcpy(frame.bytes + ETHER_HDR_LEN + 14, (const uint8_t[]) {172, 17, 0, 2}, 4);
	assert_int_equal(run_program("host_ingress", &frame), VERDICT_NEXT);
	for (i = 0; i < 3; i++) {
		message.icmp_type = types[i];
		frame = frame_make("fd00::2", "fd00::3", message);
		frame_put(&frame, (const uint8_t[16]) {0xfd, [15] = 1}, 16);
		assert_int_equal(run_program("host_ingress", &frame), VERDICT_SHOT);
		frame = frame_with_option(&frame);
		assert_int_equal(run_program("host_ingress", &frame), VERDICT_SHOT);
	}
	message.icmp_type = 136;
	frame = frame_make("fd00::2", "fd00::3", message);
	frame_put(&frame, (const uint8_t[16]) {0xfd, [15] = 2}, 16);
	assert_int_equal(run_program("host_ingress", &frame), VERDICT_NEXT);
	assert_int_equal(run_counter(SIDESTEP_SPOOFED) - before, 8);
	run_bypass("172.17.0.1/32", 0);
	run_bypass("fd00::1/128", 0);
}

/* A device without an entry lets nothing pass that an entry could permit. */
static void test_an_unknown_device_is_closed(void **state)
{
	(void)state;
	assert_int_equal(bpf_map_delete_elem(run_map_fd("outer"), &end), 0);
	assert_int_equal(leave("172.17.0.2", "172.17.0.3", TCP(1, 80, TH_SYN)), VERDICT_SHOT);
	set_end(NUMBER);
	assert_int_equal(leave("172.17.0.2", "172.17.0.3", TCP(1, 80, TH_SYN)), VERDICT_NEXT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bypassed_traffic_passes),
		cmocka_unit_test(test_the_rest_is_dropped_and_counted_by_reason),
		cmocka_unit_test(test_facts_of_the_namespace_do_not_count),
		cmocka_unit_test(test_replies_of_flows_that_came_in_by_the_veth_pass),
		cmocka_unit_test(test_udp_passes_where_it_may),
		cmocka_unit_test(test_frames_of_other_protocols),
		cmocka_unit_test(test_nobody_poses_as_the_host),
		cmocka_unit_test(test_an_unknown_device_is_closed),
	};
	const struct CMUnitTest none[] = {cmocka_unit_test(run_skip_shared)};

	if (!run_has_shared())
		return cmocka_run_group_tests_name("outer guard", none, NULL, NULL);
	return cmocka_run_group_tests_name("outer guard", tests, load, run_unload);
}
