// SPDX-License-Identifier: Apache-2.0
/* Tests the BPF programs in the running kernel on made-up packets (BPF_PROG_TEST_RUN). */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/util.h"
#include "programs/counters.h"
#include "programs/programs_maps.h"
#include "programs/programs_private.h"
#include "support/programs_run.h"

static void test_guard_lets_the_bridge_pass(void **state)
{
	(void)state;
	assert_int_equal(run_guard("172.17.0.2", "172.17.0.3", TCP(1, 80, TH_SYN)), VERDICT_NEXT);
	assert_int_equal(run_guard("fd00::2", "fd00::3", TCP(1, 80, TH_SYN)), VERDICT_NEXT);
	assert_int_equal(run_guard("172.17.0.2", "172.17.0.1", UDP(1, 5000)), VERDICT_NEXT);
	assert_int_equal(run_guard("fd00::2", "ff02::1", UDP(1, 5353)), VERDICT_NEXT);
}

static void test_guard_stops_the_rest(void **state)
{
	uint64_t before = run_counter(SIDESTEP_GUARD_DROPS);

	(void)state;
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.1", TCP(1, 80, TH_SYN)), VERDICT_SHOT);
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.1", TCP(1, 80, TH_ACK)), VERDICT_SHOT);
	assert_int_equal(run_guard("fd00::2", "2001:db8::1", TCP(1, 80, TH_SYN)), VERDICT_SHOT);
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.1", UDP(1, 53)), VERDICT_SHOT);
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.1", UDP(1, 443)), VERDICT_REDIRECT);
	assert_int_equal(run_guard("fd00::2", "fd00::2", UDP(1, 5000)), VERDICT_SHOT);
	assert_int_equal(run_counter(SIDESTEP_GUARD_DROPS) - before, 6);
}

static void test_fragments_and_rubbish(void **state)
{
	struct segment later = {.protocol = IPPROTO_UDP, .fragment = 100};
	struct segment bridge = {.protocol = IPPROTO_UDP, .fragment = 100};
	struct frame frame;
	size_t size;

	(void)state;
	assert_int_equal(run_guard("172.17.0.2", "192.0.2.1", later), VERDICT_SHOT);
	assert_int_equal(run_guard("172.17.0.2", "172.17.0.3", bridge), VERDICT_NEXT);
	/* Every truncated frame is dropped. BPF_PROG_TEST_RUN requires a whole IP header. */
	frame = frame_make("172.17.0.2", "192.0.2.1", TCP(1, 80, TH_SYN));
	for (size = frame.size - 1; size >= ETHER_HDR_LEN + sizeof(struct iphdr); size--) {
		struct frame cut = frame;

		cut.size = size;
		assert_int_equal(run_program("dev_egress", &cut), VERDICT_SHOT);
	}
}

static void test_spoofed_source(void **state)
{
	uint64_t before = run_counter(SIDESTEP_SPOOFED);

	(void)state;
	assert_int_equal(run_arrive("172.17.0.2", "172.17.0.2", TCP(1, 80, TH_SYN)), VERDICT_SHOT);
	assert_int_equal(run_arrive("127.0.0.1", "172.17.0.2", TCP(1, 80, TH_SYN)), VERDICT_SHOT);
	assert_int_equal(run_arrive("172.17.0.3", "172.17.0.2", TCP(1, 80, TH_SYN)), VERDICT_NEXT);
	assert_int_equal(run_counter(SIDESTEP_SPOOFED) - before, 2);
}

static void same_either_way(const char *source, const char *destination, struct segment segment)
{
	static const char *const programs[] = {"dev_egress", "dev_ingress", "lo_egress"};
	struct frame plain = frame_make(source, destination, segment), slow;
	uint64_t want[SIDESTEP_COUNTERS], got[SIDESTEP_COUNTERS];
	size_t i;
	int round;

	/* With any protocol, the frame is long enough to be read at fixed offsets. */
	frame_put(&plain, "payload payload", 16);
	slow = frame_with_option(&plain);
	for (i = 0; i < ARRAY_SIZE(programs); i++) {
		int verdict = run_judged(programs[i], &slow, want);

		/* The first round asks the tries, and later ones use the cache. */
		run_bypass_changed();
		for (round = 0; round < 4; round++) {
			assert_int_equal(run_judged(programs[i], &plain, got), verdict);
			assert_memory_equal(got, want, sizeof(want));
		}
	}
}

static void test_plain_frames_are_judged_alike(void **state)
{
	static const char *const addresses[][8] = {
		{"172.17.0.2", "172.17.0.3", "127.0.0.1", "172.17.9.1", "192.0.2.77", "0.0.0.0"},
		{"fd00::2", "fd00::3", "ff02::1", "::1", "2001:db8::77", "::"},
	};
	static const uint8_t flags[] = {TH_SYN, TH_SYN | TH_ACK, TH_ACK, TH_RST, TH_FIN | TH_ACK};
	struct segment echo = {.protocol = IPPROTO_ICMP, .source_port = 7, .icmp_type = 8};
	struct segment error = {.protocol = IPPROTO_ICMPV6, .icmp_type = 1};
	struct segment other = {.protocol = 132};
	struct segment later = {.protocol = IPPROTO_TCP, .tcp_flags = TH_ACK, .fragment = 100};
	size_t family, from, to, i;

	(void)state;
	/* The address is in the bridge's subnet, but has an entry of its own. */
	run_bypass("172.17.9.1/32", SIDESTEP_FROM_BUILTIN);
	for (family = 0; family < 2; family++)
		for (from = 0; from < 6; from++)
			for (to = 0; to < 6; to++) {
				const char *source = addresses[family][from];
				const char *destination = addresses[family][to];

				for (i = 0; i < sizeof(flags); i++)
					same_either_way(source, destination,
							TCP(4000, 443, flags[i]));
				same_either_way(source, destination, UDP(4000, 53));
				same_either_way(source, destination, UDP(53, 4000));
				same_either_way(source, destination, UDP(4000, 4000));
				same_either_way(source, destination, echo);
				same_either_way(source, destination, error);
				same_either_way(source, destination, other);
				if (family == 0)
					same_either_way(source, destination, later);
			}
	run_bypass("172.17.9.1/32", 0);
}

/* When subnets come and go, the cached answers are invalid at once. */
static void test_changes_hold_at_once(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		int round;

		for (round = 0; round < 3; round++)
			assert_int_equal(run_guard("172.17.0.2", "198.18.0.1", TCP(1, 80, TH_SYN)),
					 VERDICT_SHOT);
		run_bypass("198.18.0.0/15", SIDESTEP_FROM_OPTION);
		for (round = 0; round < 3; round++)
			assert_int_equal(run_guard("172.17.0.2", "198.18.0.1", TCP(1, 80, TH_SYN)),
					 VERDICT_NEXT);
		run_bypass("198.18.0.0/15", 0);
	}
}

/* The cached answer for two IPv4 addresses is not that for an IPv6 frame with the same ones, which
 * is malformed. */
static void test_families_share_no_cached_answer(void **state)
{
	static const char *const programs[] = {"dev_egress", "lo_egress"};
	struct frame mapped = frame_make("::ffff:172.17.0.2", "::ffff:172.17.0.3",
					 TCP(1, 80, TH_SYN));
	uint64_t moved[SIDESTEP_COUNTERS];
	size_t i;
	int round;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(programs); i++) {
		run_bypass_changed();
		for (round = 0; round < 4; round++)
			assert_int_equal(run_judged(programs[i], &mapped, moved), VERDICT_SHOT);
		assert_int_equal(moved[i == 0 ? SIDESTEP_GUARD_DROPS : SIDESTEP_DENY_MALFORMED], 1);
		for (round = 0; round < 4; round++)
			assert_int_equal(run_guard("172.17.0.2", "172.17.0.3", TCP(1, 80, TH_SYN)),
					 VERDICT_NEXT);
	}
	/* Not even where the prefix is bypassed. */
	run_bypass("::/0", SIDESTEP_FROM_OPTION);
	assert_int_equal(run_program("dev_egress", &mapped), VERDICT_SHOT);
	run_bypass("::/0", 0);
}

/* Truncated frames between bypassed addresses are dropped too. */
static void test_truncated_bridge_frames(void **state)
{
	struct frame frame = frame_make("172.17.0.2", "172.17.0.3", TCP(1, 80, TH_ACK));
	size_t size;

	(void)state;
	for (size = frame.size; size > ETHER_HDR_LEN + sizeof(struct iphdr); size--) {
		bool readable = size > ETHER_HDR_LEN + sizeof(struct iphdr) +
					       offsetof(struct tcphdr, th_flags);
		struct frame cut = frame;

		cut.size = size;
		assert_int_equal(run_program("dev_egress", &cut),
				 readable ? VERDICT_NEXT : VERDICT_SHOT);
	}
}

/* Runs `steer` for a connection from 172.17.0.2. Returns in *@ret_cookie the cookie of the socket
 * that it chose, or 0. There is no input interface, because the kernel accepts none in a test.
 * Returns 1 for SK_PASS, 0 for SK_DROP, and -1 if the kernel cannot run it (before Linux 5.13). */
static int look_up_cookie(const char *destination, uint64_t *ret_cookie)
{
	struct bpf_sk_lookup context = {
		.family = AF_INET,
		.protocol = IPPROTO_TCP,
		.remote_ip4 = inet_addr("172.17.0.2"),
		.remote_port = htons(4000),
		.local_ip4 = inet_addr(destination),
		.local_port = 80,
	};
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = &context, .ctx_size_in = sizeof(context),
		    .ctx_out = &context, .ctx_size_out = sizeof(context));
	int error = bpf_prog_test_run_opts(run_program_fd("steer"), &options);

	if (error == -EOPNOTSUPP || error == -524) /* ENOTSUPP */
		return -1;
	assert_int_equal(error, 0);
	*ret_cookie = context.cookie;
	return (int)options.retval;
}

static int look_up(const char *destination)
{
	uint64_t cookie;

	return look_up_cookie(destination, &cookie);
}

/* Sets arrival.searching on each CPU. */
static void searching(uint32_t value)
{
	int count = libbpf_num_possible_cpus(), i;
	_cleanup_free_ struct arrival_slot {
		_Alignas(8) struct sidestep_arrival arrival;
	} *slots = calloc((size_t)count, sizeof(*slots));
	uint32_t zero = 0;

	assert_non_null(slots);
	for (i = 0; i < count; i++)
		slots[i].arrival.searching = value;
	assert_int_equal(bpf_map_update_elem(run_map_fd("arrivals"), &zero, slots, BPF_ANY), 0);
}

static void skip_lookup(void)
{
	print_message("BPF_PROG_TEST_RUN of sk_lookup programs (Linux 5.13) is not there\n");
	skip();
}

/* `steer` ignores dev_ingress's own lookup of a socket, and does not count it. */
static void test_lookup_of_our_own(void **state)
{
	uint64_t local = run_counter(SIDESTEP_LOCAL), errors = run_counter(SIDESTEP_ASSIGN_ERRORS);

	(void)state;
	if (look_up("172.17.0.2") < 0)
		skip_lookup();
	assert_int_equal(run_counter(SIDESTEP_LOCAL) - local, 1);
	searching(1);
	assert_int_equal(look_up("172.17.0.2"), 1);
	assert_int_equal(look_up("192.0.2.1"), 1);
	searching(0);
	assert_int_equal(run_counter(SIDESTEP_LOCAL) - local, 1);
	assert_int_equal(run_counter(SIDESTEP_ASSIGN_ERRORS), errors);
	/* The lookup leaves nothing behind. */
	assert_int_equal(run_arrive("192.0.2.9", "172.17.0.2", TCP(1, 80, TH_SYN)), VERDICT_NEXT);
	assert_int_equal(look_up("172.17.0.2"), 1);
	assert_int_equal(run_counter(SIDESTEP_LOCAL) - local, 2);
}

static void test_lookup(void **state)
{
	uint64_t errors = run_counter(SIDESTEP_ASSIGN_ERRORS);
	int pass = look_up("172.17.0.2");

	(void)state;
	if (pass < 0)
		skip_lookup();
	assert_int_equal(pass, 1); /* the application's own server */
	/* Without a listener in the map, a connection to the outside is refused. */
	assert_int_equal(look_up("192.0.2.1"), 0);
	assert_int_equal(run_counter(SIDESTEP_ASSIGN_ERRORS) - errors, 1);
}

/* Puts a new socket into a slot of `listeners`. The caller closes it. */
static int give_listener(enum sidestep_listener slot, uint64_t *ret_cookie)
{
	struct sidestep_listener_key key = {.netns = run_netns(), .listener = slot};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t value = (uint64_t)fd;
	socklen_t size = sizeof(*ret_cookie);

	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, ret_cookie, &size), 0);
	assert_int_equal(bpf_map_update_elem(run_map_fd("listeners"), &key, &value, BPF_ANY), 0);
	return fd;
}

/* A connection that did not come by lo's route does not reach the listener that is bound to lo. The
 * scenario answers_by_lo tests the opposite. */
static void test_lookup_by_device(void **state)
{
	uint64_t any, lo, found;
	int lo_fd = give_listener(SIDESTEP_LISTENER_TCP4_LO, &lo);
	int result = look_up_cookie("192.0.2.1", &found), any_fd;

	(void)state;
	if (result < 0) {
		close(lo_fd);
		skip_lookup();
	}
	assert_int_equal(result, 0);
	any_fd = give_listener(SIDESTEP_LISTENER_TCP4, &any);
	assert_int_equal(look_up_cookie("192.0.2.1", &found), 1);
	assert_int_equal(found, any);
	close(lo_fd);
	/* The kernel removes a closed socket from the map. */
	close(any_fd);
	assert_int_equal(look_up_cookie("192.0.2.1", &found), 0);
}

static void come_over_lo(const char *source, const char *destination)
{
	struct frame frame = frame_make(source, destination, TCP(4000, 80, TH_SYN));

	assert_int_equal(run_program("lo_ingress", &frame), VERDICT_NEXT);
}

/* With one load for several namespaces, a lookup uses the note of lo_ingress, once. */
static void test_shared_lookup(void **state)
{
	(void)state;
	/* No packet came over lo, so the lookup is not ours. */
	assert_int_equal(look_up("192.0.2.1"), 1);
	come_over_lo("172.17.0.2", "192.0.2.1");
	assert_int_equal(look_up("192.0.2.1"), 0);
	assert_int_equal(look_up("192.0.2.1"), 1);
	come_over_lo("172.17.0.2", "172.17.0.2");
	assert_int_equal(look_up("172.17.0.2"), 1);
	/* The note of another packet does not count. */
	come_over_lo("172.17.0.2", "192.0.2.2");
	assert_int_equal(look_up("192.0.2.1"), 1);
	/* A packet that comes in by a device deletes the note. */
	come_over_lo("172.17.0.2", "192.0.2.1");
	assert_int_equal(run_arrive("198.51.100.9", "172.17.0.2", TCP(1, 80, TH_SYN)),
			 VERDICT_NEXT);
	assert_int_equal(look_up("192.0.2.1"), 1);
}

/* Does the program use the map? */
static bool uses(int program_fd, int map_fd_wanted)
{
	struct bpf_map_info map = {0};
	uint32_t size = sizeof(map), ids[32];
	struct bpf_prog_info info = {.map_ids = (uintptr_t)ids, .nr_map_ids = 32};
	uint32_t i;

	assert_int_equal(bpf_obj_get_info_by_fd(map_fd_wanted, &map, &size), 0);
	size = sizeof(info);
	assert_int_equal(bpf_obj_get_info_by_fd(program_fd, &info, &size), 0);
	for (i = 0; i < info.nr_map_ids && i < 32; i++)
		if (ids[i] == map.id)
			return true;
	return false;
}

static struct bpf_map_info map_info(const struct programs *programs, enum programs_map map)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(programs->maps[map], &info, &size), 0);
	return info;
}

/* Programs that several processors verified share their maps. */
static void test_programs_loaded_beside_each_other_share_their_maps(void **state)
{
	static const struct {
		enum programs_kind kind;
		unsigned int loaded;
		size_t count;
		enum programs_program programs[6];
	} kinds[] = {
		{PROGRAMS_SIDECAR,
		 7, /* with the one that shuts a device */
		 6,
		 {PROGRAM_STEER, PROGRAM_LO_EGRESS, PROGRAM_DEV_INGRESS, PROGRAM_DEV_EGRESS,
		  PROGRAM_L3_INGRESS, PROGRAM_L3_EGRESS}},
		{PROGRAMS_BRIDGE,
		 4,
		 4,
		 {PROGRAM_STEER, PROGRAM_BRIDGE_INGRESS, PROGRAM_BRIDGE_EGRESS,
		  PROGRAM_VETH_INGRESS}},
	};
	size_t i, j;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct programs_config config = {.kind = kinds[i].kind, .netns = run_netns()};
		struct programs *programs;
		unsigned int loaded = 0;

		assert_int_equal(programs_load(&config, false, &programs), 0);
		assert_int_equal(programs_await(programs), 0);
		for (j = 0; j < PROGRAMS; j++)
			loaded += programs->programs[j] >= 0;
		assert_int_equal(loaded, kinds[i].loaded);
		for (j = 0; j < kinds[i].count; j++) {
			int fd = programs->programs[kinds[i].programs[j]];

			assert_true(fd >= 0);
			assert_true(uses(fd, programs->maps[MAP_BYPASS4]));
		}
		assert_int_equal(map_info(programs, MAP_FLOWS).max_entries, SIDESTEP_MAX_FLOWS);
		assert_int_equal(map_info(programs, MAP_INBOUND).max_entries, SIDESTEP_MAX_INBOUND);
		/* The maps have types for bpftool. */
		assert_int_not_equal(map_info(programs, MAP_FLOWS).btf_value_type_id, 0);
		assert_int_not_equal(map_info(programs, MAP_INBOUND).btf_value_type_id, 0);
		programs_free(programs);
	}
}

static uint32_t owner_of(const struct programs *programs, int fd)
{
	struct sidestep_owner_value value;

	assert_int_equal(programs_own_socket(programs, fd, false), 0);
	assert_int_equal(bpf_map_lookup_elem(programs->maps[MAP_OWNERS], &fd, &value), 0);
	return value.owner;
}

/* A transparent socket sends from addresses that the application chose. Others are the proxy's. */
static void test_owner_of_a_transparent_socket(void **state)
{
	static const int domains[] = {AF_INET, AF_INET6, AF_UNIX}, one = 1;
	struct programs_config config = {.kind = PROGRAMS_SIDECAR, .netns = run_netns()};
	struct programs *programs;
	size_t i;

	(void)state;
	assert_int_equal(programs_load(&config, false, &programs), 0);
	for (i = 0; i < ARRAY_SIZE(domains); i++) {
		int fd = socket(domains[i], SOCK_DGRAM | SOCK_CLOEXEC, 0);

		assert_true(fd >= 0);
		assert_int_equal(owner_of(programs, fd), SIDESTEP_OWNER_PROXY);
		if (domains[i] != AF_UNIX) {
			bool ipv6 = domains[i] == AF_INET6;

			assert_int_equal(setsockopt(fd, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP,
						    ipv6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &one,
						    sizeof(one)),
					 0);
			assert_int_equal(owner_of(programs, fd), SIDESTEP_OWNER_ANSWERS);
		}
		close(fd);
	}
	programs_free(programs);
}

int main(void)
{
#define ANY_LOAD                                                                                   \
	cmocka_unit_test(test_guard_lets_the_bridge_pass),                                         \
		cmocka_unit_test(test_guard_stops_the_rest),                                       \
		cmocka_unit_test(test_fragments_and_rubbish),                                      \
		cmocka_unit_test(test_spoofed_source),                                             \
		cmocka_unit_test(test_plain_frames_are_judged_alike),                              \
		cmocka_unit_test(test_changes_hold_at_once),                                       \
		cmocka_unit_test(test_families_share_no_cached_answer),                            \
		cmocka_unit_test(test_truncated_bridge_frames)
	const struct CMUnitTest single[] = {
		ANY_LOAD,
		cmocka_unit_test(test_lookup),
		cmocka_unit_test(test_lookup_of_our_own),
		cmocka_unit_test(test_lookup_by_device),
		cmocka_unit_test(test_programs_loaded_beside_each_other_share_their_maps),
		cmocka_unit_test(test_owner_of_a_transparent_socket),
	};
	const struct CMUnitTest shared[] = {ANY_LOAD, cmocka_unit_test(test_shared_lookup)};
	const struct CMUnitTest none[] = {cmocka_unit_test(run_skip_shared)};
	int failed = cmocka_run_group_tests_name("one namespace", single, run_load_single,
						 run_unload);

	if (!run_has_shared())
		return failed + cmocka_run_group_tests_name("shared", none, NULL, NULL);
	return failed + cmocka_run_group_tests_name("shared", shared, run_load_shared, run_unload);
}
