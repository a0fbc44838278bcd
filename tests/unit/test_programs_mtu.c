// SPDX-License-Identifier: Apache-2.0
/* Tests how the BPF programs keep packets within the MTU of a route: MSS, fragments, refused sizes.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/programs_run.h"

#define MTU 1400

static int load(void **state)
{
	if (run_load_single(state) < 0)
		return -1;
	run_route("0.0.0.0/0", MTU);
	run_route("::/0", MTU);
	return 0;
}

static size_t transport_of(const struct frame *frame)
{
	bool ipv4 = frame->bytes[ETHER_HDR_LEN] >> 4 == 4;

	return ETHER_HDR_LEN + (ipv4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr));
}

/* The Internet checksum (RFC 1071) over the TCP header. A change of the header must not change it.
 */
static uint16_t tcp_sum(const struct frame *frame)
{
	uint32_t sum = 0;
	size_t at;

	for (at = transport_of(frame); at + 1 < frame->size; at += 2)
		sum += (uint32_t)frame->bytes[at] << 8 | frame->bytes[at + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Makes a SYN whose options are @options. */
static struct frame syn(const char *source, const char *destination, uint8_t flags,
			const uint8_t *options, size_t size)
{
	struct frame frame = frame_make(source, destination, TCP(50000, 80, flags));

	frame.bytes[transport_of(&frame) + 12] = (uint8_t)((20 + size) / 4 << 4);
	frame_put(&frame, options, size);
	return frame;
}

/* Returns the MSS in the first option. */
static unsigned int mss_of(const struct frame *frame)
{
	const uint8_t *option = frame->bytes + transport_of(frame) + 20;

	return (unsigned int)(option[2] << 8 | option[3]);
}

static unsigned int clamped(const char *source, const char *destination, uint8_t flags,
			    uint16_t announced)
{
	const uint8_t options[] = {2, 4, (uint8_t)(announced >> 8), (uint8_t)announced};
	struct frame frame = syn(source, destination, flags, options, sizeof(options)), out;

	assert_int_equal(run_program_out("dev_ingress", &frame, &out), VERDICT_NEXT);
	assert_int_equal(out.size, frame.size);
	assert_int_equal(tcp_sum(&out), tcp_sum(&frame));
	return mss_of(&out);
}

static void test_the_mss_of_a_syn_fits_the_route_back(void **state)
{
	(void)state;
	assert_int_equal(clamped("198.51.100.9", "172.17.0.2", TH_SYN, 1460), MTU - 40);
	assert_int_equal(clamped("2001:db8::9", "fd00::2", TH_SYN, 1440), MTU - 60);
	/* A gateway off the link answers the proxy. */
	assert_int_equal(clamped("198.51.100.9", "172.17.0.2", TH_SYN | TH_ACK, 1460), MTU - 40);
	assert_int_equal(clamped("198.51.100.9", "172.17.0.2", TH_SYN, 536), 536);
	assert_int_equal(clamped("198.51.100.9", "172.17.0.2", TH_SYN, MTU - 40), MTU - 40);
	/* Neighbours are answered by the device's own route. */
	assert_int_equal(clamped("172.17.0.3", "172.17.0.2", TH_SYN, 1460), 1460);
	assert_int_equal(clamped("198.51.100.9", "172.17.0.2", TH_ACK, 1460), 1460);
}

/* Sets the default routes, and those of packets from the application's first addresses. */
static void routes_by_source(uint8_t by_source)
{
	const struct sidestep_route any = {.ifindex = LOOPBACK_IFINDEX,
					   .mtu = MTU,
					   .by_source = by_source};
	const struct sidestep_route own = {.ifindex = LOOPBACK_IFINDEX, .mtu = MTU - 100};
	const struct sidestep_prefix4 any4 = {SIDESTEP_NETNS_BITS, run_netns(), {0}};
	const struct sidestep_prefix6 any6 = {SIDESTEP_NETNS_BITS, run_netns(), {0}};
	const struct sidestep_source_prefix4 own4 = {
		SIDESTEP_SOURCE4_BITS, run_netns(), {172, 17, 0, 2}, {0}};
	const struct sidestep_source_prefix6 own6 = {
		SIDESTEP_SOURCE6_BITS, run_netns(), {[0] = 0xfd, [15] = 2}, {0}};

	assert_int_equal(bpf_map_update_elem(run_map_fd("route4"), &any4, &any, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(run_map_fd("route6"), &any6, &any, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(run_map_fd("source_route4"), &own4, &own, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(run_map_fd("source_route6"), &own6, &own, BPF_ANY), 0);
}

static void test_the_route_back_may_depend_on_the_address(void **state)
{
	(void)state;
	routes_by_source(1);
	assert_int_equal(clamped("198.51.100.9", "172.17.0.2", TH_SYN, 1460), MTU - 100 - 40);
	assert_int_equal(clamped("2001:db8::9", "fd00::2", TH_SYN, 1440), MTU - 100 - 60);
	assert_int_equal(clamped("198.51.100.9", "172.17.0.7", TH_SYN, 1460), MTU - 40);
	assert_int_equal(clamped("2001:db8::9", "fd00::7", TH_SYN, 1440), MTU - 60);
	/* The programs do not ask where there is none. */
	routes_by_source(0);
	assert_int_equal(clamped("198.51.100.9", "172.17.0.2", TH_SYN, 1460), MTU - 40);
	assert_int_equal(clamped("2001:db8::9", "fd00::2", TH_SYN, 1440), MTU - 60);
}

static void test_other_options_are_left_alone(void **state)
{
	static const uint8_t others[][4] = {{1, 1, 1, 1}, {3, 4, 0xff, 0xff}, {2, 3, 0xff, 0xff}};
	static const uint8_t mss[] = {2, 4, 0xff, 0xff};
	struct frame data = syn("198.51.100.9", "172.17.0.2", TH_SYN, mss, sizeof(mss)), out;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		struct frame frame = syn("198.51.100.9", "172.17.0.2", TH_SYN, others[i], 4);

		assert_int_equal(run_program_out("dev_ingress", &frame, &out), VERDICT_NEXT);
		assert_memory_equal(out.bytes, frame.bytes, frame.size);
	}
	/* Without options the same bytes are data. */
	data.bytes[transport_of(&data) + 12] = 5 << 4;
	assert_int_equal(run_program_out("dev_ingress", &data, &out), VERDICT_NEXT);
	assert_memory_equal(out.bytes, data.bytes, data.size);
}

static struct segment fragment(uint16_t field)
{
	struct segment segment = UDP(5000, 50001);

	segment.fragment = field;
	return segment;
}

static void test_later_fragments_follow_the_first_one(void **state)
{
	struct frame first = frame_make("172.17.0.2", "198.51.100.9", fragment(IP_MF));

	(void)state;
	assert_int_equal(run_guard("172.17.0.2", "198.51.100.9", fragment(100)), VERDICT_SHOT);
	/* Nobody asked for it, so the first one is no reply. */
	(void)run_program("lo_egress", &first);
	assert_int_equal(run_guard("172.17.0.2", "198.51.100.9", fragment(100)), VERDICT_SHOT);
	assert_int_equal(run_arrive("198.51.100.9", "172.17.0.2", UDP(50001, 5000)), VERDICT_NEXT);
	(void)run_program("lo_egress", &first);
	assert_int_equal(run_guard("172.17.0.2", "198.51.100.9", fragment(100)), VERDICT_NEXT);
	assert_int_equal(run_guard("172.17.0.2", "198.51.100.9", fragment(IP_MF | 50)),
			 VERDICT_NEXT);
	assert_int_equal(run_guard("172.17.0.2", "198.51.100.8", fragment(100)), VERDICT_SHOT);
	assert_int_equal(run_guard("172.17.0.3", "198.51.100.9", fragment(100)), VERDICT_SHOT);
}

static void test_a_packet_above_the_mtu_is_counted(void **state)
{
	struct frame small = frame_make("172.17.0.2", "198.51.100.9", UDP(5000, 50002));
	struct frame large = small;
	uint64_t before = run_counter(SIDESTEP_TOO_BIG);

	(void)state;
	memset(large.bytes + large.size, 0, 100);
	large.size += 100;
	run_route("198.51.100.9/32", (uint32_t)(small.size - ETHER_HDR_LEN));
	assert_int_equal(run_arrive("198.51.100.9", "172.17.0.2", UDP(50002, 5000)), VERDICT_NEXT);
	assert_int_not_equal(run_program("lo_egress", &small), VERDICT_SHOT);
	assert_int_equal(run_counter(SIDESTEP_TOO_BIG), before);
	assert_int_equal(run_program("lo_egress", &large), VERDICT_SHOT);
	assert_int_equal(run_counter(SIDESTEP_TOO_BIG), before + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_mss_of_a_syn_fits_the_route_back),
		cmocka_unit_test(test_the_route_back_may_depend_on_the_address),
		cmocka_unit_test(test_other_options_are_left_alone),
		cmocka_unit_test(test_later_fragments_follow_the_first_one),
		cmocka_unit_test(test_a_packet_above_the_mtu_is_counted),
	};

	return cmocka_run_group_tests_name("MTU", tests, load, run_unload);
}
