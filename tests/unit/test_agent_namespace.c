// SPDX-License-Identifier: Apache-2.0
/*
 * Kills the agent at each point of attaching to a namespace, and tests that in the end nothing is
 * attached twice and nothing is left. The agent is in "home", and "far" is the container's
 * namespace.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/agent_guard.h"
#include "agent/agent_namespace.h"
#include "agent/agent_pins.h"
#include "lib/util.h"
#include "programs/programs_attach.h"
#include "programs/programs_maps.h"
#include "programs/programs_private.h"
#include "support/descriptors.h"
#include "support/two_netns.h"

#define TCX_INGRESS ((enum bpf_attach_type)46)
#define TCX_EGRESS  ((enum bpf_attach_type)47)

#define LO 1

static char root[] = "/tmp/test-agent-XXXXXX", pin[64];
static uint32_t device, number;
static struct programs *programs;
static struct agent_namespace namespace;

/* Starts an agent, which adopts what an earlier one left. */
static void begin(enum programs_way way)
{
	const struct programs_config config = {
		.kind = PROGRAMS_SHARED, .way = way, .pin = pin, .adopt = true};

	assert_int_equal(programs_load(&config, false, &programs), 0);
	namespace = (struct agent_namespace) {.programs = programs,
					      .pin = pin,
					      .home_fd = home_netns,
					      .netns = number,
					      .netns_fd = far_netns};
}

/* Ends the agent like a kill: attachments and pins stay. */
static void end(void)
{
	programs_free(programs);
}

static void begin_anew(enum programs_way way)
{
	end();
	begin(way);
}

static void attach(void)
{
	assert_int_equal(agent_namespace_attach_device(&namespace, device, DATAPATH_UPLINK), 0);
	assert_int_equal(agent_namespace_attach(&namespace), 0);
}

static void settle_all(void)
{
	int i;

	for (i = 0; namespace.unsettled; i++) {
		assert_true(i < 4);
		agent_namespace_settle(&namespace);
	}
}

/* Counts the files of the namespace's directory with the suffix of filters, or without it. */
static int files(bool filters)
{
	char path[128];
	const struct dirent *entry;
	DIR *directory;
	int count = 0;

	(void)snprintf(path, sizeof(path), "%s/links/%u", pin, number);
	directory = opendir(path);
	if (!directory)
		return 0;
	while ((entry = readdir(directory)))
		if (entry->d_name[0] != '.' &&
		    (strstr(entry->d_name, AGENT_FILTER_SUFFIX) != NULL) == filters)
			count++;
	(void)closedir(directory);
	return count;
}

/* Returns the program of our filter on a device, or 0. */
static uint32_t filter(uint32_t ifindex, enum bpf_tc_attach_point point)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = 93, .priority = 9300);
	int error;

	enter_netns(far_netns);
	error = bpf_tc_query(&hook, &options);
	enter_netns(home_netns);
	return error == 0 ? options.prog_id : 0;
}

static int filters(void)
{
	return (filter(LO, BPF_TC_INGRESS) > 0) + (filter(LO, BPF_TC_EGRESS) > 0) +
	       (filter(device, BPF_TC_INGRESS) > 0) + (filter(device, BPF_TC_EGRESS) > 0);
}

static int tcx_count(uint32_t ifindex, enum bpf_attach_type type)
{
	LIBBPF_OPTS(bpf_prog_query_opts, options);
	int error;

	enter_netns(far_netns);
	error = bpf_prog_query_opts((int)ifindex, type, &options);
	enter_netns(home_netns);
	return error == 0 ? (int)options.prog_cnt : 0;
}

static int tcx(void)
{
	return tcx_count(LO, TCX_INGRESS) + tcx_count(LO, TCX_EGRESS) +
	       tcx_count(device, TCX_INGRESS) + tcx_count(device, TCX_EGRESS);
}

/* Waits until no TCX link is left, because a kernel worker detaches a closed link. */
static void wait_no_tcx(void)
{
	int i;

	for (i = 0; i < 5000 && tcx() > 0; i++)
		(void)usleep(1000);
	assert_int_equal(tcx(), 0);
}

static void assert_settled(void)
{
	assert_int_equal(files(false), 5);
	assert_int_equal(files(true), 0);
	assert_int_equal(tcx(), 4);
	assert_int_equal(filters(), 0);
}

static void assert_unsettled(void)
{
	assert_int_equal(files(false), 1); /* steer */
	assert_int_equal(files(true), 4);
	assert_int_equal(tcx(), 0);
	assert_int_equal(filters(), 4);
}

static void assert_nothing(void)
{
	assert_int_equal(files(false) + files(true), 0);
	assert_int_equal(filters(), 0);
	wait_no_tcx();
}

static int remove_all(void **state)
{
	(void)state;
	agent_namespace_remove(&namespace);
	assert_nothing();
	end();
	return 0;
}

static void test_filters_then_links(void **state)
{
	int i;

	(void)state;
	begin(PROGRAMS_WAY_AUTO);
	attach();
	assert_true(namespace.unsettled);
	assert_unsettled();
	for (i = 1; i <= 4; i++) {
		assert_true(namespace.unsettled);
		agent_namespace_settle(&namespace);
		assert_int_equal(tcx(), i);
		assert_int_equal(filters(), 4 - i);
		assert_int_equal(files(true), 4 - i);
	}
	assert_false(namespace.unsettled);
	assert_settled();
	/* A new session attaches again, and the links stay. */
	attach();
	assert_false(namespace.unsettled);
	assert_settled();
}

static void test_other_ways(void **state)
{
	(void)state;
	begin(PROGRAMS_WAY_TCX);
	attach();
	assert_false(namespace.unsettled);
	assert_settled();
	agent_namespace_remove(&namespace);
	assert_nothing();
	begin_anew(PROGRAMS_WAY_CLSACT);
	attach();
	settle_all();
	assert_unsettled();
}

/* With the next agent, a filter runs its program once a session starts, and becomes a link. */
static void test_killed_before_settling(void **state)
{
	uint32_t before;

	(void)state;
	begin(PROGRAMS_WAY_AUTO);
	attach();
	before = filter(device, BPF_TC_EGRESS);
	assert_true(before > 0);
	begin_anew(PROGRAMS_WAY_AUTO);
	assert_int_equal(agent_namespace_adopt(&namespace), 0);
	assert_unsettled();
	assert_int_equal(agent_namespace_gone(&namespace), 0);
	attach();
	assert_unsettled();
	assert_int_not_equal(filter(device, BPF_TC_EGRESS), before);
	settle_all();
	assert_settled();
}

static void test_killed_between_two(void **state)
{
	(void)state;
	begin(PROGRAMS_WAY_AUTO);
	attach();
	agent_namespace_settle(&namespace);
	agent_namespace_settle(&namespace);
	begin_anew(PROGRAMS_WAY_AUTO);
	assert_int_equal(agent_namespace_adopt(&namespace), 0);
	attach();
	assert_true(namespace.unsettled);
	settle_all();
	assert_settled();
}

/* Leaves a pinned link and the filter next to it. */
static void leave_both(void)
{
	struct programs_attachment attachment;
	char path[128];

	enter_netns(far_netns);
	assert_int_equal(programs_attach_tc(programs, PROGRAM_LO_EGRESS, LO, &attachment), 0);
	enter_netns(home_netns);
	(void)snprintf(path, sizeof(path), "%s/links/%u/lo_egress" AGENT_FILTER_SUFFIX, pin,
		       number);
	assert_int_equal(symlink("clsact", path), 0);
	assert_int_equal(filters(), 1);
	assert_int_equal(tcx(), 4);
}

static void test_killed_while_settling(void **state)
{
	(void)state;
	begin(PROGRAMS_WAY_AUTO);
	attach();
	settle_all();
	leave_both();
	begin_anew(PROGRAMS_WAY_AUTO);
	attach();
	assert_settled();
	/* Settling finds the existing link too. */
	leave_both();
	namespace.unsettled = true;
	settle_all();
	assert_settled();
}

static void test_device_goes(void **state)
{
	(void)state;
	begin(PROGRAMS_WAY_AUTO);
	attach();
	agent_namespace_detach_device(&namespace, device);
	assert_int_equal(filters(), 2);
	assert_int_equal(files(true), 2);
	assert_int_equal(agent_namespace_attach_device(&namespace, 4711, DATAPATH_UPLINK), -ENODEV);
	assert_int_equal(files(true), 2);
	settle_all();
	assert_int_equal(files(false), 3);
	assert_int_equal(agent_namespace_attach_device(&namespace, device, DATAPATH_UPLINK), 0);
	settle_all();
	assert_settled();
}

/* The programs on lo would keep the application from its own sockets. */
static void test_closed_by_the_guard_alone(void **state)
{
	(void)state;
	begin(PROGRAMS_WAY_AUTO);
	assert_int_equal(agent_guard_close(&namespace), 0);
	assert_int_equal(filters(), 2);
	assert_true(filter(device, BPF_TC_INGRESS) > 0 && filter(device, BPF_TC_EGRESS) > 0);
	assert_int_equal(files(false), 1); /* steer */
	assert_int_equal(files(true), 2);
	assert_int_equal(agent_namespace_gone(&namespace), 0);
	/* The next session completes it. */
	attach();
	assert_unsettled();
	settle_all();
	assert_settled();
	assert_int_equal(agent_guard_close(&namespace), 0);
	assert_settled();
}

/* A device that changes its kind has the programs of one kind alone, filters and links alike. */
static void test_device_changes_its_kind(void **state)
{
	uint32_t judge;

	(void)state;
	begin(PROGRAMS_WAY_AUTO);
	attach();
	judge = filter(device, BPF_TC_EGRESS);
	assert_int_equal(agent_namespace_attach_device(&namespace, device, DATAPATH_INNER), 0);
	assert_unsettled();
	assert_int_not_equal(filter(device, BPF_TC_EGRESS), judge);
	settle_all();
	assert_settled();
	assert_int_equal(agent_namespace_attach_device(&namespace, device, DATAPATH_UPLINK), 0);
	assert_int_equal(files(false), 3);
	assert_int_equal(files(true), 2);
	assert_int_equal(filter(device, BPF_TC_EGRESS), judge);
	agent_namespace_detach_device(&namespace, device);
	assert_int_equal(files(false), 3);
	assert_int_equal(files(true), 0);
	assert_int_equal(filters(), 0);
}

/* --clean has no session, and enters the namespace through a process that is in it. */
static void test_removed_without_session(void **state)
{
	int ready[2], done[2], status;
	char byte;
	pid_t child;

	(void)state;
	begin(PROGRAMS_WAY_AUTO);
	attach();
	assert_int_equal(pipe(ready) + pipe(done), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)close(done[1]);
		if (setns(far_netns, CLONE_NEWNET) < 0 || write(ready[1], "r", 1) != 1 ||
		    read(done[0], &byte, 1) != 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	begin_anew(PROGRAMS_WAY_AUTO);
	namespace.netns_fd = -1;
	agent_namespace_remove(&namespace);
	assert_nothing();
	(void)close(done[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	(void)close(done[0]);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

/* At the limit of open files nothing can be asked, which must not look like a namespace or a link
 * that is gone. */
static void test_no_free_descriptor(void **state)
{
	rlim_t before;
	int gone, attached;

	(void)state;
	begin(PROGRAMS_WAY_AUTO);
	attach();
	settle_all();
	before = limit_descriptors(0);
	gone = agent_namespace_gone(&namespace);
	attached = agent_namespace_attach(&namespace);
	(void)limit_descriptors(before);
	assert_int_equal(gone, -EMFILE);
	assert_int_equal(attached, -EMFILE);
	assert_settled();
	assert_int_equal(agent_namespace_gone(&namespace), 0);
}

static int count(enum programs_map map)
{
	uint8_t key[64], *previous = NULL;
	int found = 0;

	while (bpf_map_get_next_key(programs->maps[map], previous, key) == 0) {
		previous = key;
		found++;
	}
	return found;
}

static void test_entries_are_removed_with_their_namespace(void **state)
{
	static const char *const prefixes[] = {
		"0.0.0.0/0",	      "0.0.0.0/32", "10.0.0.0/8", "10.9.0.0/24", "128.0.0.0/1",
		"255.255.255.255/32", "::/0",	    "::/128",	  "fd00::/64",	 "ff00::/8",
	};
	const uint32_t numbers[] = {number - 1, number, number + 1, number + 256};
	const struct sidestep_bypass bypass = {.sources = SIDESTEP_FROM_OPTION};
	const struct sidestep_route route = {.ifindex = 2};
	static const uint8_t sources[][16] = {{0}, {[0] = 0xfd, [15] = 2}, {[0] = 0xfd, [15] = 3}};
	size_t i, j, k;

	(void)state;
	begin(PROGRAMS_WAY_AUTO);
	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		for (j = 0; j < ARRAY_SIZE(prefixes); j++) {
			struct prefix prefix;
			int error = prefix_parse(prefixes[j], &prefix);

			error |= programs_bypass_set(programs, numbers[i], &prefix, &bypass);
			for (k = 0; k < ARRAY_SIZE(sources); k++)
				error |= programs_route_set(programs, numbers[i], sources[k],
							    &prefix, &route);
			assert_int_equal(error, 0);
		}
	for (i = ARRAY_SIZE(numbers); i > 0; i--) {
		assert_int_equal(count(MAP_BYPASS4) + count(MAP_BYPASS6), i * (6 + 4));
		assert_int_equal(count(MAP_ROUTE4) + count(MAP_SOURCE_ROUTE4), i * 6 * 3);
		assert_int_equal(count(MAP_ROUTE6) + count(MAP_SOURCE_ROUTE6), i * 4 * 3);
		/* The middle ones come first. */
		programs_namespace_remove(programs, numbers[i % ARRAY_SIZE(numbers)]);
	}
	assert_int_equal(count(MAP_BYPASS4) + count(MAP_ROUTE6) + count(MAP_SOURCE_ROUTE4), 0);
}

static int make_all(void **state)
{
	if (make_namespaces(state) < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(root) ||
	    mount("bpf", root, "bpf", 0, NULL) < 0)
		return -1;
	(void)snprintf(pin, sizeof(pin), "%s/agent", root);
	enter_netns(far_netns);
	device = if_nametoindex("far0");
	if (programs_netns(&number) < 0)
		return -1;
	enter_netns(home_netns);
	return 0;
}

static int unmake_all(void **state)
{
	(void)state;
	return umount2(root, MNT_DETACH) < 0 || rmdir(root) < 0 ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_filters_then_links, remove_all),
		cmocka_unit_test_teardown(test_other_ways, remove_all),
		cmocka_unit_test_teardown(test_killed_before_settling, remove_all),
		cmocka_unit_test_teardown(test_killed_between_two, remove_all),
		cmocka_unit_test_teardown(test_killed_while_settling, remove_all),
		cmocka_unit_test_teardown(test_device_goes, remove_all),
		cmocka_unit_test_teardown(test_closed_by_the_guard_alone, remove_all),
		cmocka_unit_test_teardown(test_device_changes_its_kind, remove_all),
		cmocka_unit_test_teardown(test_removed_without_session, remove_all),
		cmocka_unit_test_teardown(test_no_free_descriptor, remove_all),
		cmocka_unit_test_teardown(test_entries_are_removed_with_their_namespace,
					  remove_all),
	};

	return cmocka_run_group_tests(tests, make_all, unmake_all);
}
