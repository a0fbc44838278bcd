// SPDX-License-Identifier: Apache-2.0
/* Tests which programs own programs attach to a device, in a network namespace of the test's own.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <linux/bpf.h>

#include <cmocka.h>

#include "datapath/datapath_bpf.h"
#include "programs/programs.h"

/* The name of the program of ours in the filter there, or "" if there is none. */
static const char *attached(enum bpf_tc_attach_point point)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = LOOPBACK_IFINDEX, .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, found, .handle = 93, .priority = 9300);
	static struct bpf_prog_info info;
	uint32_t size = sizeof(info);
	int fd;

	memset(&info, 0, sizeof(info));
	if (bpf_tc_query(&hook, &found) == 0) {
		fd = bpf_prog_get_fd_by_id(found.prog_id);
		assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
		close(fd);
	}
	return info.name;
}

static int load(void **state)
{
	const struct datapath_bpf_config config = {.mode = SIDESTEP_MODE_SIDECAR,
						   .inner = true,
						   .netns_fd = -1};
	struct datapath *datapath;
	int error = unshare(CLONE_NEWNET);

	programs_silence();
	if (error == 0)
		error = datapath_bpf_new(&config, &datapath);
	*state = datapath;
	return error;
}

static int unload(void **state)
{
	datapath_free(*state);
	return 0;
}

/* Leaves one descriptor to the process. Returns the limit before. */
static struct rlimit leave_one_descriptor(void)
{
	int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct rlimit before, limit;

	assert_true(next >= 0);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)next + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	return before;
}

static void test_a_device_gets_the_programs_of_its_kind(void **state)
{
	static const struct {
		enum datapath_device kind;
		const char *ingress, *egress;
	} kinds[] = {
		{DATAPATH_UPLINK, "dev_ingress", "dev_egress"},
		{DATAPATH_UPLINK_L3, "l3_ingress", "l3_egress"},
		{DATAPATH_INNER, "bridge_ingress", "bridge_egress"},
	};
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		assert_int_equal(datapath_attach_device(*state, LOOPBACK_IFINDEX, kinds[i].kind),
				 0);
		assert_string_equal(attached(BPF_TC_INGRESS), kinds[i].ingress);
		assert_string_equal(attached(BPF_TC_EGRESS), kinds[i].egress);
	}
	datapath_detach_device(*state, LOOPBACK_IFINDEX);
	assert_string_equal(attached(BPF_TC_EGRESS), "");
}

/* Without its programs nobody would judge what a device lets out, or what comes from inside. */
static void test_a_device_whose_programs_do_not_load_is_closed(void **state)
{
	struct rlimit before = leave_one_descriptor();

	datapath_complete(*state);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(datapath_attach_device(*state, LOOPBACK_IFINDEX, DATAPATH_UPLINK_L3), 0);
	assert_string_equal(attached(BPF_TC_EGRESS), "shut");
	datapath_detach_device(*state, LOOPBACK_IFINDEX);
	assert_string_equal(attached(BPF_TC_EGRESS), "");
	assert_int_equal(datapath_attach_device(*state, LOOPBACK_IFINDEX, DATAPATH_INNER), 0);
	assert_string_equal(attached(BPF_TC_INGRESS), "shut");
	datapath_detach_device(*state, LOOPBACK_IFINDEX);
	assert_int_equal(datapath_attach_device(*state, LOOPBACK_IFINDEX, DATAPATH_UPLINK), 0);
	assert_string_equal(attached(BPF_TC_EGRESS), "dev_egress");
	datapath_detach_device(*state, LOOPBACK_IFINDEX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_device_gets_the_programs_of_its_kind, load,
						unload),
		cmocka_unit_test_setup_teardown(test_a_device_whose_programs_do_not_load_is_closed,
						load, unload),
	};

	return cmocka_run_group_tests_name("datapath_bpf", tests, NULL, NULL);
}
