// SPDX-License-Identifier: Apache-2.0
/* Tests the records of denied packets that the BPF programs write, in the running kernel
 * (BPF_PROG_TEST_RUN). */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/address.h"
#include "programs/programs_private.h"
#include "support/programs_run.h"

#define RECORDS_MAX 1024

static struct {
	struct sidestep_denial all[RECORDS_MAX];
	size_t count;
} records;

static int on_record(void *context, void *data, size_t size)
{
	(void)context;
	assert_int_equal(size, sizeof(struct sidestep_denial));
	assert_true(records.count < RECORDS_MAX);
	memcpy(&records.all[records.count++], data, size);
	return 0;
}

/* Reads the records since the last call. */
static void read_records(void)
{
	struct ring_buffer *ring = ring_buffer__new(run_map_fd("denials"), on_record, NULL, NULL);

	assert_non_null(ring);
	records.count = 0;
	assert_true(ring_buffer__consume(ring) >= 0);
	ring_buffer__free(ring);
}

static void refill(void)
{
	const uint64_t full[2] = {0};
	uint32_t slot = 0;

	assert_int_equal(bpf_map_update_elem(run_map_fd("denial_budgets"), &slot, full, BPF_ANY),
			 0);
}

/* Runs the program on the frame. Expects one record. */
static const struct sidestep_denial *denied(const char *program, const struct frame *frame)
{
	refill();
	read_records();
	assert_int_not_equal(run_program(program, frame), VERDICT_NEXT);
	read_records();
	assert_int_equal(records.count, 1);
	return &records.all[0];
}

static void assert_address(const uint8_t address[16], const char *text)
{
	char buffer[ADDRESS_TEXT_MAX];

	assert_string_equal(address_format(address, buffer), text);
}

static void test_a_record_has_the_flow(void **state)
{
	struct frame frame = frame_make("172.17.0.2", "192.0.2.1", UDP(4000, 443));
	const struct sidestep_denial *record = denied("dev_egress", &frame);

	(void)state;
	assert_address(record->flow.local_address, "172.17.0.2");
	assert_address(record->flow.remote_address, "192.0.2.1");
	assert_int_equal(record->flow.local_port, 4000);
	assert_int_equal(record->flow.remote_port, 443);
	assert_int_equal(record->flow.protocol, IPPROTO_UDP);
	assert_int_equal(record->flow.netns, run_netns());
	assert_int_equal(record->verdict, SIDESTEP_GUARD_DROPS);
	assert_int_equal(record->judged, SIDESTEP_DENY_UDP);
	assert_int_equal(record->lost, 0);
}

static void test_each_verdict(void **state)
{
	const struct segment echo = {.protocol = IPPROTO_ICMP, .source_port = 7, .icmp_type = 8};
	const struct segment later = {.protocol = IPPROTO_UDP, .fragment = 100};
	const struct {
		const char *program, *source, *destination;
		struct segment segment;
		enum sidestep_verdict verdict, judged;
	} cases[] = {
		{"lo_egress", "172.17.0.2", "192.0.2.1", echo, SIDESTEP_DENY_PROTOCOL,
		 SIDESTEP_DENY_PROTOCOL},
		{"lo_egress", "fd00::2", "2001:db8::1", UDP(1, 443), SIDESTEP_DENY_UDP,
		 SIDESTEP_DENY_UDP},
		{"lo_egress", "172.17.0.2", "192.0.2.1", later, SIDESTEP_DENY_FRAGMENT,
		 SIDESTEP_DENY_FRAGMENT},
		{"lo_egress", "172.17.0.2", "192.0.2.1", TCP(1, 80, TH_SYN), SIDESTEP_ASSIGN_ERRORS,
		 SIDESTEP_STEER_TCP},
		{"lo_egress", "172.17.0.2", "192.0.2.1", UDP(1, 53), SIDESTEP_ASSIGN_ERRORS,
		 SIDESTEP_STEER_DNS},
		{"dev_egress", "172.17.0.2", "192.0.2.1", TCP(1, 80, TH_SYN), SIDESTEP_GUARD_DROPS,
		 SIDESTEP_STEER_TCP},
		{"dev_ingress", "172.17.0.2", "172.17.0.2", TCP(1, 80, TH_SYN), SIDESTEP_SPOOFED,
		 SIDESTEP_SPOOFED},
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct frame frame = frame_make(cases[i].source, cases[i].destination,
						cases[i].segment);
		const struct sidestep_denial *record;

		/* An answer to a denied packet on lo passes. */
		run_refill_budget();
		refill();
		read_records();
		(void)run_program(cases[i].program, &frame);
		read_records();
		assert_int_equal(records.count, 1);
		record = &records.all[0];
		assert_int_equal(record->verdict, cases[i].verdict);
		assert_int_equal(record->judged, cases[i].judged);
		assert_address(record->flow.remote_address, cases[i].destination);
	}
}

/* Nothing can be read of such a frame. */
static void test_an_unreadable_frame(void **state)
{
	struct frame frame = frame_make("172.17.0.2", "192.0.2.1", UDP(4000, 443));
	const struct sidestep_denial *record;

	(void)state;
	frame.size = ETHER_HDR_LEN + sizeof(struct iphdr) + 2;
	record = denied("dev_egress", &frame);
	assert_int_equal(record->judged, SIDESTEP_DENY_MALFORMED);
	assert_int_equal(record->flow.protocol, 0);
	assert_int_equal(record->flow.netns, run_netns());
	assert_address(record->flow.local_address, "::");
}

static void test_what_passes_leaves_no_record(void **state)
{
	(void)state;
	read_records();
	assert_int_equal(run_guard("172.17.0.2", "172.17.0.3", TCP(1, 80, TH_SYN)), VERDICT_NEXT);
	read_records();
	assert_int_equal(records.count, 0);
}

static void test_a_flood_loses_records_and_says_so(void **state)
{
	struct frame frame = frame_make("172.17.0.2", "192.0.2.1", TCP(1, 80, TH_SYN));
	unsigned int sent = 0;
	uint32_t lost = 0;
	size_t told = 0;

	(void)state;
	refill();
	read_records();
	/* The whole flood may be over before another record is due, which tells of the loss. */
	for (sent = 0; sent < 5000 || (lost == 0 && sent < 1000000); sent++) {
		assert_int_equal(run_program("dev_egress", &frame), VERDICT_SHOT);
		if (sent % 100 != 99)
			continue;
		read_records();
		told += records.count;
		if (records.count > 0)
			lost = records.all[records.count - 1].lost;
	}
	assert_in_range(told, 100, sent - 1);
	assert_in_range(lost, 1, sent);
	/* The records and those that were lost in front of the last one are all packets. */
	assert_true(told + lost <= sent);
}

/* Nobody reads, and the ring fills. */
static void test_a_full_ring_loses_records(void **state)
{
	struct frame frame = frame_make("172.17.0.2", "192.0.2.1", TCP(1, 80, TH_SYN));
	unsigned int i;

	(void)state;
	read_records();
	for (i = 0; i < RECORDS_MAX; i++) {
		refill();
		assert_int_equal(run_program("dev_egress", &frame), VERDICT_SHOT);
	}
	read_records();
	assert_in_range(records.count, 1, RECORDS_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_record_has_the_flow),
		cmocka_unit_test(test_each_verdict),
		cmocka_unit_test(test_an_unreadable_frame),
		cmocka_unit_test(test_what_passes_leaves_no_record),
		cmocka_unit_test(test_a_flood_loses_records_and_says_so),
		cmocka_unit_test(test_a_full_ring_loses_records),
	};

	return cmocka_run_group_tests(tests, run_load_single, run_unload);
}
