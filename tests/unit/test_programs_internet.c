// SPDX-License-Identifier: Apache-2.0
/* Tests the BPF programs while the internet is off: DNS to bypassed subnets does not pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/programs_run.h"

static void set_internet(bool on)
{
	const uint32_t flag = on ? 0 : SIDESTEP_EXCEPT_DNS;

	run_bypass("172.17.0.0/16", SIDESTEP_FROM_CONNECTED | flag);
	run_bypass("fd00::/64", SIDESTEP_FROM_CONNECTED | flag);
	run_bypass("ff02::/16", SIDESTEP_FROM_BUILTIN | flag);
	run_bypass_changed();
}

/* The guard's verdict on the frame, which is the same with an option in front of the ports. */
static int guarded(const char *source, const char *destination, struct segment segment)
{
	struct frame frame = frame_make(source, destination, segment);
	struct frame with_option = frame_with_option(&frame);
	int verdict = run_program("dev_egress", &frame);

	assert_int_equal(run_program("dev_egress", &with_option), verdict);
	return verdict;
}

static int at_lo(const char *source, const char *destination, struct segment segment)
{
	struct frame frame = frame_make(source, destination, segment);

	return run_program("lo_egress", &frame);
}

static void test_only_dns_is_stopped(void **state)
{
	static const struct {
		const char *source, *destination;
		bool link;
	} ways[] = {
		{"172.17.0.2", "172.17.0.3", false},
		{"fd00::2", "fd00::3", false},
		{"fd00::2", "ff02::1", true},
	};
	int on;
	size_t i;

	(void)state;
	for (on = 0; on < 2; on++) {
		set_internet(on);
		for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
			const char *from = ways[i].source, *to = ways[i].destination;
			int dns = on ? VERDICT_NEXT : VERDICT_SHOT;
			uint64_t drops = run_counter(SIDESTEP_GUARD_DROPS);

			assert_int_equal(guarded(from, to, UDP(1, 53)), dns);
			assert_int_equal(guarded(from, to, TCP(1, 53, TH_SYN)), dns);
			assert_int_equal(guarded(from, to, TCP(1, 53, TH_ACK)), dns);
			assert_int_equal(run_counter(SIDESTEP_GUARD_DROPS) - drops, on ? 0 : 6);
			assert_int_equal(guarded(from, to, UDP(53, 5353)), VERDICT_NEXT);
			assert_int_equal(guarded(from, to, TCP(1, 80, TH_SYN)), VERDICT_NEXT);
			assert_int_equal(guarded(from, to, TCP(53, 80, TH_ACK)), VERDICT_NEXT);
		}
	}
}

/* Where routing brings it to lo, it stays there for the proxy. */
static void test_dns_stays_on_lo(void **state)
{
	uint64_t bridge;

	(void)state;
	set_internet(false);
	bridge = run_counter(SIDESTEP_BRIDGE);
	assert_int_equal(at_lo("172.17.0.2", "172.17.0.3", UDP(1, 53)), VERDICT_NEXT);
	assert_int_equal(at_lo("172.17.0.2", "172.17.0.3", TCP(1, 53, TH_SYN)), VERDICT_NEXT);
	assert_int_equal(at_lo("fd00::2", "fd00::3", TCP(1, 53, TH_ACK)), VERDICT_NEXT);
	assert_int_equal(run_counter(SIDESTEP_BRIDGE), bridge);
	/* So does DNS to the namespace's own addresses. */
	assert_int_equal(at_lo("172.17.0.2", "127.0.0.11", UDP(1, 53)), VERDICT_NEXT);
	(void)at_lo("172.17.0.2", "172.17.0.3", TCP(1, 80, TH_SYN));
	assert_int_equal(run_counter(SIDESTEP_BRIDGE), bridge + 1);
	set_internet(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_dns_is_stopped),
		cmocka_unit_test(test_dns_stays_on_lo),
	};
	const struct CMUnitTest none[] = {cmocka_unit_test(run_skip_shared)};
	int failed = cmocka_run_group_tests_name("own programs", tests, run_load_single,
						 run_unload);

	if (!run_has_shared())
		return failed + cmocka_run_group_tests_name("shared programs", none, NULL, NULL);
	return failed +
	       cmocka_run_group_tests_name("shared programs", tests, run_load_shared, run_unload);
}
