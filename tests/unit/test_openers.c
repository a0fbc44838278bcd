// SPDX-License-Identifier: Apache-2.0
/* Tests how the proxy reads the map `openers` of own programs, which write it at any time. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "programs/programs_maps.h"
#include "programs/programs_private.h"

#define NETNS 7

static struct sidestep_opener slots[SIDESTEP_OPENER_SLOTS];
static const struct programs programs = {.openers = slots};

static struct sidestep_flow_key flow_from(uint16_t port)
{
	return (struct sidestep_flow_key) {
		.local_address = {[15] = 1},
		.remote_address = {[15] = 2},
		.local_port = port,
		.remote_port = 443,
		.protocol = IPPROTO_TCP,
		.netns = NETNS,
	};
}

/* Writes as the program does. */
static struct sidestep_opener *note(const struct sidestep_flow_key *flow, uint64_t cookie)
{
	struct sidestep_opener *slot = &slots[sidestep_opener_slot(flow->local_port)];

	slot->process = (struct sidestep_process) {
		.cookie = cookie, .cgroup = 5, .pid = 1234, .comm = "curl"};
	slot->flow = *flow;
	slot->check = sidestep_opener_check(&slot->process, &slot->flow);
	return slot;
}

static int find(const struct sidestep_flow_key *flow, struct sidestep_process *ret_opener)
{
	return programs_opener_find(&programs, NETNS, flow, ret_opener);
}

static int empty(void **state)
{
	(void)state;
	memset(slots, 0, sizeof(slots));
	return 0;
}

static void test_the_opener_of_a_flow(void **state)
{
	struct sidestep_flow_key flow = flow_from(40000), other = flow;
	struct sidestep_process opener = {0};

	(void)state;
	assert_int_equal(find(&flow, &opener), -ENOENT);
	(void)note(&flow, 99);
	assert_int_equal(find(&flow, &opener), 0);
	assert_int_equal(opener.cookie, 99);
	assert_string_equal(opener.comm, "curl");
	other.remote_port = 80;
	assert_int_equal(find(&other, &opener), -ENOENT);
	other = flow;
	other.protocol = IPPROTO_UDP;
	assert_int_equal(find(&other, &opener), -ENOENT);
}

/* Two programs may write the same slot at the same time, or one while it is read. */
static void test_a_mixture_of_two_is_nobody(void **state)
{
	const struct sidestep_flow_key flow = flow_from(40000);
	struct sidestep_process opener;
	struct sidestep_opener first = *note(&flow, 99), second, *slot;
	size_t i;

	(void)state;
	second = *note(&flow, 98);
	second.process.pid = 1235; /* both differ from the first by the same bit */
	second.check = sidestep_opener_check(&second.process, &second.flow);
	slot = &slots[sidestep_opener_slot(flow.local_port)];
	for (i = sizeof(uint64_t); i < sizeof(first.process); i += sizeof(uint64_t)) {
		*slot = first;
		memcpy(&slot->process, &second.process, i);
		if (memcmp(slot, &first, sizeof(first)) != 0)
			assert_int_equal(find(&flow, &opener), -ENOENT);
		*slot = second;
		memcpy(&slot->process, &first.process, i);
		if (memcmp(slot, &second, sizeof(second)) != 0)
			assert_int_equal(find(&flow, &opener), -ENOENT);
	}
	*slot = second;
	slot->process = first.process;
	assert_int_equal(find(&flow, &opener), -ENOENT);
}

/* Linux takes one even port after the other for connections. */
static void test_ports_in_a_row_share_no_slot(void **state)
{
	bool used[SIDESTEP_OPENER_SLOTS] = {false};
	uint32_t port;

	(void)state;
	for (port = 32768; port < 32768 + 2 * SIDESTEP_OPENER_SLOTS; port += 2) {
		uint32_t slot = sidestep_opener_slot((uint16_t)port);

		assert_true(slot < SIDESTEP_OPENER_SLOTS);
		assert_false(used[slot]);
		used[slot] = true;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_the_opener_of_a_flow, empty),
		cmocka_unit_test_setup(test_a_mixture_of_two_is_nobody, empty),
		cmocka_unit_test(test_ports_in_a_row_share_no_slot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
