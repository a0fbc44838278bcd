// SPDX-License-Identifier: Apache-2.0
/* Tests the BPF programs of inner devices on packets of containers inside. */
#include <bpf/bpf.h>
#include <net/ethernet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/address.h"
#include "lib/privileges.h"
#include "programs/programs_private.h"
#include "support/programs_run.h"

/* They are on a connected subnet, and so is the application. */
#define INNER  "172.17.0.9"
#define INNER6 "fd00::9"
#define WORLD  "192.0.2.1"
#define WORLD6 "2001:db8::1"

static int listener_of(enum sidestep_listener slot, int family)
{
	const struct sidestep_listener_key key = {.netns = run_netns(), .listener = slot};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t value = (uint64_t)fd;

	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(bpf_map_update_elem(run_map_fd("listeners"), &key, &value, BPF_ANY), 0);
	return fd;
}

/* Steered packets go to lo, whose Ethernet address is zero, and stay as they are behind it. */
static void test_steered_packets_go_to_lo(void **state)
{
	static const uint8_t zero[ETHER_ADDR_LEN];
	const struct frame frames[] = {
		frame_make(INNER, WORLD, TCP(4000, 443, TH_SYN)),
		frame_make(INNER, WORLD, TCP(4000, 443, TH_ACK)),
		frame_make(INNER, WORLD, UDP(4000, 53)),
		frame_make(INNER6, WORLD6, TCP(4000, 443, TH_SYN)),
		frame_make(INNER6, WORLD6, UDP(4000, 53)),
	};
	int tcp4 = listener_of(SIDESTEP_LISTENER_TCP4, AF_INET);
	int tcp6 = listener_of(SIDESTEP_LISTENER_TCP6, AF_INET6);
	struct frame out;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(frames) / sizeof(*frames); i++) {
		assert_int_equal(run_program_out("bridge_ingress", &frames[i], &out),
				 VERDICT_REDIRECT);
		assert_memory_equal(out.bytes, zero, sizeof(zero));
		assert_int_equal(out.size, frames[i].size);
		assert_memory_equal(out.bytes + sizeof(zero), frames[i].bytes + sizeof(zero),
				    out.size - sizeof(zero));
	}
	close(tcp4);
	close(tcp6);
}

/* Without the proxy, as after a kill, a SYN is reset, and goes back. */
static void test_a_syn_to_nobody_is_reset(void **state)
{
	const struct frame syns[] = {
		frame_make(INNER, WORLD, TCP(4000, 443, TH_SYN)),
		frame_make(INNER6, WORLD6, TCP(4000, 443, TH_SYN)),
	};
	uint64_t moved[SIDESTEP_COUNTERS];
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(run_judged("bridge_ingress", &syns[i], moved), VERDICT_REDIRECT);
		assert_int_equal(moved[SIDESTEP_REFUSED], 1);
		assert_int_equal(moved[SIDESTEP_ASSIGN_ERRORS], 1);
	}
}

/* They pass to the kernel, which forwards or delivers. */
static void test_near_packets_are_left_alone(void **state)
{
	const struct frame near[] = {
		frame_make(INNER, "172.17.0.2", TCP(4000, 7001, TH_SYN)),
		frame_make(INNER, "172.17.0.3", TCP(4000, 5432, TH_SYN)),
		frame_make(INNER, "172.17.0.3", UDP(4000, 53)),
		frame_make(INNER6, "fd00::3", UDP(4000, 9)),
		frame_make(INNER6, "ff02::1", UDP(4000, 9)),
	};
	struct frame out;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(near) / sizeof(*near); i++) {
		assert_int_equal(run_program_out("bridge_ingress", &near[i], &out), VERDICT_NEXT);
		assert_memory_equal(out.bytes, near[i].bytes, near[i].size);
	}
}

static void test_denied_packets_are_answered(void **state)
{
	const struct frame denied[] = {
		frame_make(INNER, WORLD, UDP(4000, 443)),
		frame_make(INNER6, WORLD6, UDP(4000, 443)),
	};
	uint64_t moved[SIDESTEP_COUNTERS];
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(run_judged("bridge_ingress", &denied[i], moved), VERDICT_REDIRECT);
		assert_int_equal(moved[SIDESTEP_DENY_UDP], 1);
		assert_int_equal(moved[SIDESTEP_REFUSED], 1);
	}
}

/* A recorded flow's packets pass, and a new connection with its endpoints does not. */
static void test_replies_pass(void **state)
{
	struct sidestep_flow_key key = {.local_port = 80,
					.remote_port = 4000,
					.protocol = IPPROTO_TCP,
					.netns = run_netns()};
	const struct sidestep_inbound value = {.start = 1};
	struct frame reply = frame_make(INNER, WORLD, TCP(80, 4000, TH_SYN | TH_ACK));
	struct frame opening = frame_make(INNER, WORLD, TCP(80, 4000, TH_SYN));
	uint64_t moved[SIDESTEP_COUNTERS];
	int tcp4 = listener_of(SIDESTEP_LISTENER_TCP4, AF_INET);

	(void)state;
	assert_int_equal(address_parse(INNER, key.local_address), 0);
	assert_int_equal(address_parse(WORLD, key.remote_address), 0);
	assert_int_equal(run_program("bridge_ingress", &reply), VERDICT_REDIRECT);
	assert_int_equal(bpf_map_update_elem(run_map_fd("inbound"), &key, &value, BPF_ANY), 0);
	assert_int_equal(run_judged("bridge_ingress", &reply, moved), VERDICT_NEXT);
	assert_int_equal(moved[SIDESTEP_REPLY], 1);
	assert_int_equal(run_program("bridge_ingress", &opening), VERDICT_REDIRECT);
	assert_int_equal(run_program("bridge_ingress", &reply), VERDICT_REDIRECT);
	close(tcp4);
}

/* Only what comes from another device opens a flow. The programs are run as if it came from none.
 */
static void test_packets_of_the_namespace_open_no_flow(void **state)
{
	struct frame opening = frame_make(WORLD, INNER, TCP(4000, 80, TH_SYN));
	struct frame reply = frame_make(INNER, WORLD, TCP(80, 4000, TH_SYN | TH_ACK));

	(void)state;
	assert_int_equal(run_program("bridge_egress", &opening), VERDICT_NEXT);
	assert_int_equal(run_program("bridge_ingress", &reply), VERDICT_REDIRECT);
}

/* Does the program use the map? */
static bool uses(int program_fd, int map_fd)
{
	struct bpf_map_info map = {0};
	uint32_t size = sizeof(map), ids[32], i;
	struct bpf_prog_info info = {.map_ids = (uintptr_t)ids, .nr_map_ids = 32};

	assert_int_equal(bpf_obj_get_info_by_fd(map_fd, &map, &size), 0);
	size = sizeof(info);
	assert_int_equal(bpf_obj_get_info_by_fd(program_fd, &info, &size), 0);
	for (i = 0; i < info.nr_map_ids; i++)
		if (ids[i] == map.id)
			return true;
	return false;
}

/* The programs load when somebody waits for them, with the rights that the process had before, and
 * share the others' maps. */
static void test_they_load_later(void **state)
{
	struct programs_config config = {.kind = PROGRAMS_SIDECAR, .netns = 1, .inner = true};
	struct programs *programs;

	(void)state;
	assert_int_equal(programs_load(&config, false, &programs), 0);
	assert_true(programs->programs[PROGRAM_L3_EGRESS] < 0);
	assert_true(programs->programs[PROGRAM_BRIDGE_INGRESS] < 0);
	assert_int_equal(privileges_set_bpf(false), 0);
	assert_int_equal(programs_await(programs), 0);
	assert_int_equal(programs_await(programs), 0);
	assert_int_equal(privileges_set_bpf(true), 0);
	assert_true(uses(programs->programs[PROGRAM_L3_EGRESS], programs->maps[MAP_BYPASS4]));
	assert_true(uses(programs->programs[PROGRAM_L3_INGRESS], programs->maps[MAP_INBOUND]));
	assert_true(uses(programs->programs[PROGRAM_BRIDGE_INGRESS], programs->maps[MAP_BYPASS4]));
	assert_true(uses(programs->programs[PROGRAM_BRIDGE_EGRESS], programs->maps[MAP_INBOUND]));
	assert_true(programs->programs[PROGRAM_VETH_INGRESS] < 0);
	programs_free(programs);
	/* Nobody has to wait for them. */
	assert_int_equal(programs_load(&config, false, &programs), 0);
	programs_free(programs);
	config.inner = false;
	assert_int_equal(programs_load(&config, false, &programs), 0);
	assert_int_equal(programs_await(programs), 0);
	assert_true(programs->programs[PROGRAM_L3_EGRESS] >= 0);
	assert_true(programs->programs[PROGRAM_BRIDGE_INGRESS] < 0);
	programs_free(programs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steered_packets_go_to_lo),
		cmocka_unit_test(test_a_syn_to_nobody_is_reset),
		cmocka_unit_test(test_near_packets_are_left_alone),
		cmocka_unit_test(test_denied_packets_are_answered),
		cmocka_unit_test(test_replies_pass),
		cmocka_unit_test(test_packets_of_the_namespace_open_no_flow),
	};
	const struct CMUnitTest none[] = {cmocka_unit_test(run_skip_shared)};
	const struct CMUnitTest load[] = {cmocka_unit_test(test_they_load_later)};
	int failed = cmocka_run_group_tests_name("load", load, NULL, NULL);

	if (!run_has_shared())
		return failed + cmocka_run_group_tests(none, NULL, NULL);
	return failed + cmocka_run_group_tests_name("shared", tests, run_load_shared, run_unload);
}
