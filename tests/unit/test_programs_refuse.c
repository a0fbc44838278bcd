// SPDX-License-Identifier: Apache-2.0
/*
 * Tests the answers to denied packets in the running kernel (BPF_PROG_TEST_RUN). Each answer is
 * compared with one that is built here, byte by byte.
 */
#include <bpf/bpf.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "support/programs_run.h"

#define APP    "172.17.0.2"
#define APP6   "fd00::2"
#define WORLD  "192.0.2.1"
#define WORLD6 "2001:db8::1"
#define QUOTE  96

#define ICMP(kind)                                                                                 \
	((struct segment) {.protocol = IPPROTO_ICMP, .source_port = 7, .icmp_type = (kind)})
#define ICMP6(kind)                                                                                \
	((struct segment) {.protocol = IPPROTO_ICMPV6, .source_port = 7, .icmp_type = (kind)})

/* RFC 1071: the sum of 16-bit words, with an odd last byte padded. */
static uint32_t sum(const uint8_t *bytes, size_t size)
{
	uint32_t total = 0;
	size_t i;

	for (i = 0; i < size; i++)
		total += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	return total;
}

static uint16_t checksum(uint32_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return htons((uint16_t)~total);
}

static void put_ethernet(struct frame *answer, const struct frame *asked, bool turned)
{
	frame_put(answer, asked->bytes + (turned ? 6 : 0), 6);
	frame_put(answer, asked->bytes + (turned ? 0 : 6), 6);
	frame_put(answer, asked->bytes + 12, 2);
}

/* Builds the answer to @asked. @turned: the frame's addresses are exchanged. */
static struct frame answer_to(const struct frame *asked, bool turned)
{
	const uint8_t *network = asked->bytes + ETHER_HDR_LEN;
	size_t quoted = asked->size - ETHER_HDR_LEN;
	struct frame answer = {.size = 0};

	if (quoted > QUOTE)
		quoted = QUOTE;
	put_ethernet(&answer, asked, turned);
	if (*network >> 4 == 4) {
		struct iphdr ip = {.version = 4,
				   .ihl = 5,
				   .tos = 0xc0,
				   .tot_len = htons((uint16_t)(28 + quoted)),
				   .frag_off = htons(0x4000),
				   .ttl = 64,
				   .protocol = IPPROTO_ICMP};
		struct icmphdr icmp = {.type = ICMP_DEST_UNREACH, .code = ICMP_PKT_FILTERED};

		memcpy(&ip.saddr, network + 16, 4);
		memcpy(&ip.daddr, network + 12, 4);
		ip.check = checksum(sum((const uint8_t *)&ip, sizeof(ip)));
		icmp.checksum =
			checksum(sum((const uint8_t *)&icmp, sizeof(icmp)) + sum(network, quoted));
		frame_put(&answer, &ip, sizeof(ip));
		frame_put(&answer, &icmp, sizeof(icmp));
	} else {
		struct ip6_hdr ip = {.ip6_plen = htons((uint16_t)(8 + quoted)),
				     .ip6_nxt = IPPROTO_ICMPV6,
				     .ip6_hlim = 64};
		struct icmp6_hdr icmp = {.icmp6_type = ICMP6_DST_UNREACH,
					 .icmp6_code = ICMP6_DST_UNREACH_ADMIN};

		ip.ip6_vfc = 0x60;
		memcpy(&ip.ip6_src, network + 24, 16);
		memcpy(&ip.ip6_dst, network + 8, 16);
		icmp.icmp6_cksum = checksum(sum((const uint8_t *)&ip.ip6_src, 32) + 8 +
					    (uint32_t)quoted + IPPROTO_ICMPV6 +
					    sum((const uint8_t *)&icmp, sizeof(icmp)) +
					    sum(network, quoted));
		frame_put(&answer, &ip, sizeof(ip));
		frame_put(&answer, &icmp, sizeof(icmp));
	}
	frame_put(&answer, network, quoted);
	return answer;
}

/* The frame has a sender and a receiver on the link, and @more bytes behind its headers. */
static struct frame frame_from(const char *source, const char *destination, struct segment segment,
			       size_t more)
{
	struct frame frame = frame_make(source, destination, segment);
	uint8_t byte;

	memcpy(frame.bytes, "\2receiv\2sender", 12);
	for (byte = 1; byte <= more; byte++)
		frame_put(&frame, &byte, 1);
	return frame;
}

static void assert_answered(const char *program, const struct frame *asked)
{
	bool stays = strcmp(program, "lo_egress") == 0;
	uint64_t before = run_counter(SIDESTEP_REFUSED);
	struct frame want = answer_to(asked, !stays), got;

	run_refill_budget();
	assert_int_equal(run_program_out(program, asked, &got),
			 stays ? VERDICT_NEXT : VERDICT_REDIRECT);
	assert_int_equal(got.size, want.size);
	assert_memory_equal(got.bytes, want.bytes, want.size);
	assert_int_equal(run_counter(SIDESTEP_REFUSED) - before, 1);
}

static void assert_silent(const char *program, const struct frame *asked)
{
	uint64_t before = run_counter(SIDESTEP_REFUSED);

	run_refill_budget();
	assert_int_equal(run_program(program, asked), VERDICT_SHOT);
	assert_int_equal(run_counter(SIDESTEP_REFUSED), before);
}

static void answers_of(const char *program)
{
	static const size_t sizes[] = {0, 1, 2, 3, 39, 40, 67, 68, 69, 200};
	const struct segment other = {.protocol = 132};
	struct frame frame;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		frame = frame_from(APP, WORLD, UDP(4000, 443), sizes[i]);
		assert_answered(program, &frame);
		frame = frame_from(APP6, WORLD6, UDP(4000, 443), sizes[i]);
		assert_answered(program, &frame);
	}
	frame = frame_from(APP, WORLD, ICMP(ICMP_ECHO), 56);
	assert_answered(program, &frame);
	frame = frame_from(APP6, WORLD6, ICMP6(ICMP6_ECHO_REQUEST), 56);
	assert_answered(program, &frame);
	frame = frame_from(APP, WORLD, other, 20);
	assert_answered(program, &frame);
	frame = frame_from(APP6, WORLD6, other, 20);
	assert_answered(program, &frame);
	/* With an option, the quote reaches behind it. */
	frame = frame_from(APP, WORLD, UDP(4000, 443), 200);
	frame = frame_with_option(&frame);
	assert_answered(program, &frame);
	frame = frame_from(APP6, WORLD6, UDP(4000, 443), 200);
	frame = frame_with_option(&frame);
	assert_answered(program, &frame);
}

/* The first fragment of a datagram is answered for all. */
static void test_denied_packets_are_answered_on_lo(void **state)
{
	struct segment first = UDP(4000, 443);
	struct frame frame;

	(void)state;
	answers_of("lo_egress");
	first.fragment = IP_MF;
	frame = frame_from(APP, WORLD, first, 100);
	assert_answered("lo_egress", &frame);
}

static void test_denied_packets_are_answered_at_the_device(void **state)
{
	(void)state;
	answers_of("dev_egress");
}

static void test_denied_packets_are_answered_at_the_bridge(void **state)
{
	(void)state;
	answers_of("bridge_ingress");
}

static void silence_of(const char *program)
{
	static const uint8_t errors[] = {3, 11, 12}, errors6[] = {1, 2, 3, 4};
	struct segment later = UDP(4000, 443);
	struct frame frame;
	size_t i;

	later.fragment = 100;
	frame = frame_from(APP, WORLD, later, 100);
	assert_silent(program, &frame);
	for (i = 0; i < sizeof(errors); i++) {
		frame = frame_from(APP, WORLD, ICMP(errors[i]), 100);
		assert_silent(program, &frame);
	}
	for (i = 0; i < sizeof(errors6); i++) {
		frame = frame_from(APP6, WORLD6, ICMP6(errors6[i]), 100);
		assert_silent(program, &frame);
	}
	frame = frame_from(APP, WORLD, ICMP(ICMP_ECHOREPLY), 100);
	assert_silent(program, &frame);
	frame = frame_from(APP, "239.1.1.1", UDP(4000, 443), 100);
	assert_silent(program, &frame);
	frame = frame_from(APP6, "ff0e::1", UDP(4000, 443), 100);
	assert_silent(program, &frame);
	frame = frame_from("0.0.0.0", WORLD, UDP(4000, 443), 100);
	assert_silent(program, &frame);
	frame = frame_from("239.1.1.1", WORLD, UDP(4000, 443), 100);
	assert_silent(program, &frame);
	frame = frame_from("::", WORLD6, UDP(4000, 443), 100);
	assert_silent(program, &frame);
	frame = frame_from("ff0e::1", WORLD6, UDP(4000, 443), 100);
	assert_silent(program, &frame);
}

static void test_what_must_not_be_answered(void **state)
{
	(void)state;
	silence_of("lo_egress");
	silence_of("dev_egress");
}

static void test_what_must_not_be_answered_at_the_bridge(void **state)
{
	struct frame frame = frame_from(APP, WORLD, UDP(4000, 443), 100);

	(void)state;
	silence_of("bridge_ingress");
	memset(frame.bytes, 0xff, 6);
	assert_silent("bridge_ingress", &frame);
}

/* Packets that would be steered are nobody's to refuse: at a start they come again. */
static void test_steered_packets_are_not_answered_at_the_device(void **state)
{
	struct frame syn = frame_from(APP, WORLD, TCP(4000, 443, TH_SYN), 0);
	struct frame query = frame_from(APP, WORLD, UDP(4000, 53), 20);

	(void)state;
	assert_silent("dev_egress", &syn);
	assert_silent("dev_egress", &query);
}

static void test_udp_drop_is_silent_for_udp(void **state)
{
	const struct sidestep_namespace drop = {.udp_pass = SIDESTEP_UDP_DROP};
	struct frame udp = frame_from(APP, WORLD, UDP(4000, 443), 20);
	struct frame echo = frame_from(APP, WORLD, ICMP(ICMP_ECHO), 20);
	uint32_t netns = run_netns();

	(void)state;
	assert_int_equal(bpf_map_update_elem(run_map_fd("namespaces"), &netns, &drop, BPF_ANY), 0);
	assert_silent("lo_egress", &udp);
	assert_answered("lo_egress", &echo);
	assert_int_equal(bpf_map_delete_elem(run_map_fd("namespaces"), &netns), 0);
	assert_answered("lo_egress", &udp);
}

/* However fast packets come, a second has 1000 answers. */
static void test_answers_are_limited(void **state)
{
	struct frame asked = frame_from(APP, WORLD, UDP(4000, 443), 20);
	uint64_t before = run_counter(SIDESTEP_REFUSED), start = clock_ns(), took_ms, answers;
	int i;

	(void)state;
	run_refill_budget();
	for (i = 0; i < 5000; i++)
		(void)run_program("lo_egress", &asked);
	took_ms = (clock_ns() - start) / 1000000;
	answers = run_counter(SIDESTEP_REFUSED) - before;
	assert_in_range(answers, 100, 100 + took_ms * 9 / 10 + 1);
}

/* Builds the answer to a SYN from port 4000 to 443. */
static struct frame reset_of(const struct frame *syn)
{
	const uint8_t *network = syn->bytes + ETHER_HDR_LEN;
	struct tcphdr tcp = {.th_sport = htons(443),
			     .th_dport = htons(4000),
			     .th_ack = htonl(1),
			     .th_off = 5,
			     .th_flags = TH_RST | TH_ACK};
	struct frame answer = {.size = 0};
	uint32_t pseudo = IPPROTO_TCP + sizeof(tcp) + sum((const uint8_t *)&tcp, sizeof(tcp));

	put_ethernet(&answer, syn, false);
	if (*network >> 4 == 4) {
		struct iphdr ip = {.version = 4,
				   .ihl = 5,
				   .tot_len = htons(40),
				   .frag_off = htons(0x4000),
				   .ttl = 64,
				   .protocol = IPPROTO_TCP};

		memcpy(&ip.saddr, network + 16, 4);
		memcpy(&ip.daddr, network + 12, 4);
		ip.check = checksum(sum((const uint8_t *)&ip, sizeof(ip)));
		tcp.th_sum = checksum(pseudo + sum(network + 12, 8));
		frame_put(&answer, &ip, sizeof(ip));
	} else {
		struct ip6_hdr ip = {.ip6_plen = htons(20), .ip6_nxt = IPPROTO_TCP, .ip6_hlim = 64};

		ip.ip6_vfc = 0x60;
		memcpy(&ip.ip6_src, network + 24, 16);
		memcpy(&ip.ip6_dst, network + 8, 16);
		tcp.th_sum = checksum(pseudo + sum(network + 8, 32));
		frame_put(&answer, &ip, sizeof(ip));
	}
	frame_put(&answer, &tcp, sizeof(tcp));
	return answer;
}

static void listen_in(enum sidestep_listener slot, int family)
{
	const struct sidestep_listener_key key = {.netns = run_netns(), .listener = slot};
	int fd = socket(family, SOCK_STREAM, 0);
	uint64_t value = (uint64_t)fd;

	assert_true(fd >= 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(bpf_map_update_elem(run_map_fd("listeners"), &key, &value, BPF_ANY), 0);
}

/* A SYN for which nobody listens is refused, also if it has options, and any other one passes. */
static void test_a_syn_to_nobody_is_reset(void **state)
{
	struct frame syns[4], got;
	size_t i;

	(void)state;
	syns[0] = frame_from(APP, WORLD, TCP(4000, 443, TH_SYN), 0);
	syns[1] = frame_from(APP6, WORLD6, TCP(4000, 443, TH_SYN), 0);
	syns[2] = frame_with_option(&syns[0]);
	syns[3] = frame_with_option(&syns[1]);
	for (i = 0; i < 4; i++) {
		struct frame want = reset_of(&syns[i]);
		uint64_t errors = run_counter(SIDESTEP_ASSIGN_ERRORS);

		assert_int_equal(run_program_out("lo_egress", &syns[i], &got), VERDICT_NEXT);
		assert_int_equal(got.size, want.size);
		assert_memory_equal(got.bytes, want.bytes, want.size);
		assert_int_equal(run_counter(SIDESTEP_ASSIGN_ERRORS) - errors, 1);
	}
	listen_in(SIDESTEP_LISTENER_TCP4, AF_INET);
	listen_in(SIDESTEP_LISTENER_TCP6, AF_INET6);
	for (i = 0; i < 4; i++) {
		assert_int_equal(run_program_out("lo_egress", &syns[i], &got), VERDICT_NEXT);
		assert_int_equal(got.size, syns[i].size);
		assert_memory_equal(got.bytes, syns[i].bytes, got.size);
	}
}

static void test_a_query_to_nobody_is_answered(void **state)
{
	struct frame query = frame_from(APP, WORLD, UDP(4000, 53), 20);

	(void)state;
	assert_answered("lo_egress", &query);
	query = frame_from(APP6, WORLD6, UDP(4000, 53), 20);
	assert_answered("lo_egress", &query);
}

#define FOR_EACH_SIDECAR                                                                           \
	cmocka_unit_test(test_denied_packets_are_answered_on_lo),                                  \
		cmocka_unit_test(test_denied_packets_are_answered_at_the_device),                  \
		cmocka_unit_test(test_what_must_not_be_answered),                                  \
		cmocka_unit_test(test_steered_packets_are_not_answered_at_the_device),             \
		cmocka_unit_test(test_a_syn_to_nobody_is_reset),                                   \
		cmocka_unit_test(test_a_query_to_nobody_is_answered),                              \
		cmocka_unit_test(test_udp_drop_is_silent_for_udp),                                 \
		cmocka_unit_test(test_answers_are_limited)

int main(void)
{
	const struct CMUnitTest single[] = {FOR_EACH_SIDECAR};
	const struct CMUnitTest shared[] = {FOR_EACH_SIDECAR};
	const struct CMUnitTest skipped[] = {cmocka_unit_test(run_skip_shared)};
	const struct CMUnitTest bridge[] = {
		cmocka_unit_test(test_denied_packets_are_answered_at_the_bridge),
		cmocka_unit_test(test_what_must_not_be_answered_at_the_bridge),
	};
	int failed;

	failed = cmocka_run_group_tests_name("one namespace", single, run_load_single, run_unload);
	if (run_has_shared())
		failed += cmocka_run_group_tests_name("shared", shared, run_load_shared,
						      run_unload);
	else
		failed += cmocka_run_group_tests_name("shared", skipped, NULL, NULL);
	return failed + cmocka_run_group_tests_name("bridge", bridge, run_load_bridge, run_unload);
}
