// SPDX-License-Identifier: Apache-2.0
/* Tests the BPF programs on frames that are not what they seem, as CAP_NET_RAW can send them. */
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/util.h"
#include "support/frame_change.h"
#include "support/programs_run.h"

#define ETHERTYPE_OFFSET 12
#define ETHERTYPE_QINQ	 0x88a8
#define ETHERTYPE_LLDP	 0x88cc
#define LENGTH_OF_LLC	 64  /* in place of an ethertype (IEEE 802.3) */
#define OPTION_ROUTER	 148 /* router alert (RFC 2113) */
#define HEADERS_SIZE	 256 /* bpf/packet.h */

static const uint16_t types[] = {ETHERTYPE_IP,	 ETHERTYPE_IPV6, ETHERTYPE_ARP, ETHERTYPE_VLAN,
				 ETHERTYPE_QINQ, ETHERTYPE_LLDP, LENGTH_OF_LLC};

static void set_type(struct frame *frame, uint16_t type)
{
	frame->bytes[ETHERTYPE_OFFSET] = (uint8_t)(type >> 8);
	frame->bytes[ETHERTYPE_OFFSET + 1] = (uint8_t)type;
}

/* A frame between bypassed addresses, which passes. */
static struct frame bridged(bool ipv6)
{
	return ipv6 ? frame_make("fd00::2", "fd00::3", TCP(1, 80, TH_ACK))
		    : frame_make("172.17.0.2", "172.17.0.3", TCP(1, 80, TH_ACK));
}

static struct frame to_the_world(bool ipv6)
{
	return ipv6 ? frame_make("fd00::2", "2001:db8::1", TCP(1, 80, TH_ACK))
		    : frame_make("172.17.0.2", "192.0.2.1", TCP(1, 80, TH_ACK));
}

/* No frame to the world passes the guard, whatever is said of it. */
static void test_lies_about_a_frame(void **state)
{
	size_t i;
	int ipv6;

	(void)state;
	for (ipv6 = 0; ipv6 < 2; ipv6++)
		for (i = 0; i < ARRAY_SIZE(types); i++) {
			struct frame frame = to_the_world(ipv6), near = bridged(ipv6);
			bool truth = types[i] == (ipv6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);

			assert_int_equal(run_lying("dev_egress", &frame, types[i]), VERDICT_SHOT);
			assert_int_equal(run_lying("dev_egress", &near, types[i]),
					 truth ? VERDICT_NEXT : VERDICT_SHOT);
		}
}

/* A frame that looks like IP between bypassed addresses is another one to its receiver. */
static void test_lies_of_a_frame(void **state)
{
	size_t i;
	int ipv6;

	(void)state;
	for (ipv6 = 0; ipv6 < 2; ipv6++)
		for (i = 0; i < ARRAY_SIZE(types); i++) {
			uint16_t said = ipv6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP;
			struct frame frame = bridged(ipv6);

			set_type(&frame, types[i]);
			assert_int_equal(run_lying("dev_egress", &frame, said),
					 types[i] == said ? VERDICT_NEXT : VERDICT_SHOT);
		}
}

static void test_link_protocols(void **state)
{
	struct frame frame = bridged(false);

	(void)state;
	set_type(&frame, ETHERTYPE_ARP);
	assert_int_equal(run_program("dev_egress", &frame), VERDICT_NEXT);
	assert_int_equal(run_lying("dev_egress", &frame, ETHERTYPE_IP), VERDICT_SHOT);
	set_type(&frame, ETHERTYPE_LLDP);
	assert_int_equal(run_program("dev_egress", &frame), VERDICT_SHOT);
}

/* A tag in the frame, in front of a packet between bypassed addresses. */
static void test_tags_in_the_frame(void **state)
{
	static const uint16_t tags[] = {ETHERTYPE_VLAN, ETHERTYPE_QINQ};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(tags); i++) {
		struct frame inner = bridged(false), frame = inner;
		const uint8_t tag[] = {0, 5, ETHERTYPE_IP >> 8, ETHERTYPE_IP & 0xff};

		set_type(&frame, tags[i]);
		frame.size = ETHER_HDR_LEN;
		frame_put(&frame, tag, sizeof(tag));
		frame_put(&frame, inner.bytes + ETHER_HDR_LEN, inner.size - ETHER_HDR_LEN);
		assert_int_equal(run_program("dev_egress", &frame), VERDICT_SHOT);
		assert_int_equal(run_lying("dev_egress", &frame, ETHERTYPE_ARP), VERDICT_SHOT);
		assert_int_equal(run_lying("dev_egress", &frame, ETHERTYPE_IP), VERDICT_SHOT);
	}
}

/* A VLAN device of the namespace has judged the frame as well. */
static void test_tags_of_a_vlan_device(void **state)
{
	struct frame far = to_the_world(false), near = bridged(false);

	(void)state;
	assert_int_equal(run_tagged("dev_egress", &near, ETHERTYPE_VLAN, 5), VERDICT_NEXT);
	assert_int_equal(run_tagged("dev_egress", &far, ETHERTYPE_VLAN, 5), VERDICT_SHOT);
}

static int run_with_options(const uint8_t *options, size_t size)
{
	struct frame plain = bridged(false), frame = {.size = 0};
	size_t head = ETHER_HDR_LEN + sizeof(struct iphdr);

	assert_int_equal(size % 4, 0);
	frame_put(&frame, plain.bytes, head);
	frame_put(&frame, options, size);
	frame_put(&frame, plain.bytes + head, plain.size - head);
	frame.bytes[ETHER_HDR_LEN] = (uint8_t)(0x45 + size / 4);
	return run_program("dev_egress", &frame);
}

static void test_options_of_ipv4(void **state)
{
	static const uint8_t loose[] = {IPOPT_LSRR, 7, 4, 192, 0, 2, 1, 0};
	static const uint8_t strict[] = {IPOPT_NOP, IPOPT_SSRR, 7, 4, 192, 0, 2, 1};
	static const uint8_t behind[] = {OPTION_ROUTER, 4, 0, 0, IPOPT_LSRR, 7, 4, 192, 0, 2, 1, 0};
	static const uint8_t router[] = {OPTION_ROUTER, 4, 0, 0};
	static const uint8_t record[] = {IPOPT_NOP, IPOPT_RR, 7, 4, 0, 0, 0, 0};
	static const uint8_t ended[] = {IPOPT_EOL, IPOPT_LSRR, 7, 4};
	static const uint8_t empty[] = {IPOPT_RR, 0, 0, 0}, cut[] = {IPOPT_RR, 5, 0, 0};
	static const uint8_t many[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, IPOPT_LSRR, 3, 4};

	(void)state;
	assert_int_equal(run_with_options(loose, sizeof(loose)), VERDICT_SHOT);
	assert_int_equal(run_with_options(strict, sizeof(strict)), VERDICT_SHOT);
	assert_int_equal(run_with_options(behind, sizeof(behind)), VERDICT_SHOT);
	assert_int_equal(run_with_options(router, sizeof(router)), VERDICT_NEXT);
	assert_int_equal(run_with_options(record, sizeof(record)), VERDICT_NEXT);
	assert_int_equal(run_with_options(ended, sizeof(ended)), VERDICT_NEXT);
	assert_int_equal(run_with_options(empty, sizeof(empty)), VERDICT_SHOT);
	/* It reaches past the header, where no receiver looks for options. */
	assert_int_equal(run_with_options(cut, sizeof(cut)), VERDICT_NEXT);
	assert_int_equal(run_with_options(many, sizeof(many)), VERDICT_SHOT);
}

/* Runs the guard on a TCP packet behind extension headers. @first: the protocol of the first. */
static int run_with_extensions(bool far, uint8_t first, const uint8_t *headers, size_t size)
{
	struct frame plain = far ? to_the_world(true) : bridged(true), frame = {.size = 0};
	size_t head = ETHER_HDR_LEN + sizeof(struct ip6_hdr);

	frame_put(&frame, plain.bytes, head);
	frame_put(&frame, headers, size);
	frame_put(&frame, plain.bytes + head, plain.size - head);
	frame.bytes[ETHER_HDR_LEN + offsetof(struct ip6_hdr, ip6_nxt)] = first;
	return run_program("dev_egress", &frame);
}

static void test_routing_headers(void **state)
{
	static const uint8_t routing_types[] = {0, 2, 3, 4};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(routing_types); i++) {
		uint8_t routing[24] = {IPPROTO_TCP, 2, routing_types[i], 1};
		uint8_t behind[32] = {IPPROTO_ROUTING, 0, 1, 4};

		memcpy(behind + 8, routing, sizeof(routing));
		assert_int_equal(run_with_extensions(false, IPPROTO_ROUTING, routing,
						     sizeof(routing)),
				 VERDICT_SHOT);
		assert_int_equal(run_with_extensions(false, IPPROTO_HOPOPTS, behind,
						     sizeof(behind)),
				 VERDICT_SHOT);
		/* The last host on the way gets it like this. */
		routing[3] = behind[8 + 3] = 0;
		assert_int_equal(run_with_extensions(false, IPPROTO_ROUTING, routing,
						     sizeof(routing)),
				 VERDICT_NEXT);
		assert_int_equal(run_with_extensions(true, IPPROTO_ROUTING, routing,
						     sizeof(routing)),
				 VERDICT_SHOT);
		assert_int_equal(run_with_extensions(false, IPPROTO_HOPOPTS, behind,
						     sizeof(behind)),
				 VERDICT_NEXT);
	}
}

static void test_fragments_of_fragments(void **state)
{
	uint8_t headers[16] = {IPPROTO_FRAGMENT, 0, 0, 0, 0, 0, 0, 1,
			       IPPROTO_TCP,	 0, 0, 0, 0, 0, 0, 2};

	(void)state;
	assert_int_equal(run_with_extensions(false, IPPROTO_FRAGMENT, headers, sizeof(headers)),
			 VERDICT_NEXT);
	assert_int_equal(run_with_extensions(true, IPPROTO_FRAGMENT, headers, sizeof(headers)),
			 VERDICT_SHOT);
	headers[8 + 3] = 8;
	assert_int_equal(run_with_extensions(true, IPPROTO_FRAGMENT, headers, sizeof(headers)),
			 VERDICT_SHOT);
}

/* Only what the guard has copied is judged (packet_settle()), so headers must not be longer. */
static void test_long_headers(void **state)
{
	uint8_t options[208] = {IPPROTO_TCP};

	(void)state;
	options[1] = 192 / 8 - 1;
	assert_int_equal(run_with_extensions(false, IPPROTO_DSTOPTS, options, 192), VERDICT_SHOT);
	options[1] = 184 / 8 - 1;
	assert_true(ETHER_HDR_LEN + sizeof(struct ip6_hdr) + 184 + 14 <= HEADERS_SIZE);
	assert_int_equal(run_with_extensions(false, IPPROTO_DSTOPTS, options, 184), VERDICT_NEXT);
}

/* A tag leads out of the network that is intercepted. */
static void test_tags_at_the_bridge(void **state)
{
	uint64_t before = run_counter(SIDESTEP_DENY_PROTOCOL);
	struct frame near = bridged(false), far = to_the_world(false);

	(void)state;
	assert_int_equal(run_program("bridge_ingress", &near), VERDICT_NEXT);
	assert_int_equal(run_counter(SIDESTEP_DENY_PROTOCOL), before);
	assert_int_equal(run_tagged("bridge_ingress", &near, ETHERTYPE_VLAN, 5), VERDICT_SHOT);
	assert_int_equal(run_tagged("bridge_ingress", &far, ETHERTYPE_VLAN, 5), VERDICT_SHOT);
	assert_int_equal(run_tagged("bridge_ingress", &far, ETHERTYPE_QINQ, 0), VERDICT_SHOT);
	assert_int_equal(run_counter(SIDESTEP_DENY_PROTOCOL) - before, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lies_about_a_frame),
		cmocka_unit_test(test_lies_of_a_frame),
		cmocka_unit_test(test_link_protocols),
		cmocka_unit_test(test_tags_in_the_frame),
		cmocka_unit_test(test_tags_of_a_vlan_device),
		cmocka_unit_test(test_options_of_ipv4),
		cmocka_unit_test(test_routing_headers),
		cmocka_unit_test(test_fragments_of_fragments),
		cmocka_unit_test(test_long_headers),
	};
	const struct CMUnitTest bridge[] = {cmocka_unit_test(test_tags_at_the_bridge)};
	const struct CMUnitTest none[] = {cmocka_unit_test(run_skip_shared)};
	int failed = cmocka_run_group_tests_name("one namespace", tests, run_load_single,
						 run_unload);

	failed += cmocka_run_group_tests_name("bridge mode", bridge, run_load_bridge, run_unload);
	if (!run_has_shared())
		return failed + cmocka_run_group_tests_name("shared", none, NULL, NULL);
	return failed + cmocka_run_group_tests_name("shared", tests, run_load_shared, run_unload);
}
