// SPDX-License-Identifier: Apache-2.0
/* Tests what a load of the BPF programs takes: the verifier's work is most of a start. */
#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/bpf.h>

#include <cmocka.h>

#include "lib/util.h"
#include "programs/programs_private.h"
#include "support/programs_run.h"

/* The instructions that the verifier walked for the program. 0: it does not say (Linux 5.16). */
static uint32_t walked(int fd)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	return info.verified_insns;
}

/* The limits are half as much again as Linux 6.18 walks, which takes 1.3 us for each. */
static void test_the_verifier_walks_little(void **state)
{
	static const struct {
		const char *program;
		uint32_t limit;
	} limits[] = {
		{"steer", 600},		 {"lo_egress", 9500},	   {"dev_ingress", 4000},
		{"dev_egress", 8000},	 {"l3_ingress", 4000},	   {"l3_egress", 6600},
		{"bridge_egress", 2200}, {"bridge_ingress", 9300},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		int fd = run_program_fd(limits[i].program);

		if (fd >= 0)
			assert_in_range(walked(fd), 0, limits[i].limit);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_verifier_walks_little),
	};

	return cmocka_run_group_tests_name("one namespace", tests, run_load_single, run_unload) +
	       cmocka_run_group_tests_name("bridge mode", tests, run_load_bridge, run_unload);
}
