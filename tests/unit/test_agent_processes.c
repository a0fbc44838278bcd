// SPDX-License-Identifier: Apache-2.0
/* Tests what the agent finds out about processes of the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/agent_processes.h"
#include "lib/util.h"

#define ID    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static void assert_container(const char *cgroup, const char *id)
{
	char found[65];

	assert_int_equal(agent_container_of(cgroup, found), id != NULL);
	if (id)
		assert_string_equal(found, id);
}

static void test_the_container_of_a_control_group(void **state)
{
	(void)state;
	assert_container("/docker/" ID, ID);
	assert_container("/system.slice/docker-" ID ".scope", ID);
	assert_container("/machine.slice/libpod-" ID ".scope/container", ID);
	assert_container("/../../docker/" ID, ID);
	/* A container makes groups below its own, by any name. */
	assert_container("/docker/" ID "/docker/" OTHER, ID);
	assert_container("/user.slice/user-1000.slice", NULL);
	assert_container("/docker/0" ID, NULL);
	assert_container("/docker/abc", NULL);
	assert_container("", NULL);
}

/* When this process started, in the kernel's ticks (proc_pid_stat(5)). */
static uint64_t own_start(void)
{
	unsigned long long ticks = 0;
	FILE *file = fopen("/proc/self/stat", "re");

	assert_non_null(file);
	assert_int_equal(fscanf(file,
				"%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u "
				"%*d %*d %*d %*d %*d %*d %llu",
				&ticks),
			 1);
	(void)fclose(file);
	return ticks * (1000000000ULL / (uint64_t)sysconf(_SC_CLK_TCK));
}

static void test_a_process_of_the_host(void **state)
{
	struct agent_processes *processes = agent_processes_new();
	struct sidestep_process process = {.pid = (uint32_t)getpid(), .started = own_start()};
	struct agent_process found;
	char exe[512] = "", group[AGENT_GROUP_PATH_MAX];

	(void)state;
	assert_non_null(processes);
	if (!processes->host) {
		agent_processes_free(processes);
		print_message("this is not the first pid namespace\n");
		skip();
	}
	assert_true(agent_processes_find(processes, &process, &found));
	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	assert_string_equal(found.exe, exe);
	/* The number belonged to another process before. */
	process.started -= 1000000000;
	assert_false(agent_processes_find(processes, &process, &found));
	/* A process of the same group has told the group's path. */
	process.cgroup = 77;
	assert_false(agent_processes_find(processes, &process, &found));
	process.started += 1000000000;
	memcpy(process.comm, "other", sizeof("other"));
	assert_true(agent_processes_find(processes, &process, &found));
	(void)snprintf(group, sizeof(group), "%s", found.cgroup);
	process.started -= 1000000000;
	assert_int_equal(agent_processes_find(processes, &process, &found), group[0] != '\0');
	if (group[0]) {
		assert_string_equal(found.cgroup, group);
		assert_string_equal(found.exe, "");
	}
	process.cgroup = 78;
	assert_false(agent_processes_find(processes, &process, &found));
	process.pid = 0;
	assert_false(agent_processes_find(processes, &process, &found));
	agent_processes_free(processes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_container_of_a_control_group),
		cmocka_unit_test(test_a_process_of_the_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
