// SPDX-License-Identifier: Apache-2.0
/* Tests how many processors a process may use, and how many threads follow from that. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/processors.h"
#include "proxy/proxy.h"
#include "sidecar/sidecar_threads.h"

/* Where distributions mount the hierarchy of the controller "cpu" in version 1. In version 2 every
 * group has cpu.max if the group above it passes the controller on. */
#define GROUPS_V1 "/sys/fs/cgroup/cpu"
#define GROUPS_V2 "/sys/fs/cgroup"

static int write_file(const char *directory, const char *name, const char *text)
{
	char path[PATH_MAX];
	int fd, error;

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	error = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	(void)close(fd);
	return error;
}

static void remove_file(const char *directory, const char *name)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	assert_int_equal(unlink(path), 0);
}

static void test_affinity(void **state)
{
	cpu_set_t all, one;
	int cpu = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	assert_true(processors_usable() <= (unsigned int)CPU_COUNT(&all));
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(processors_usable(), 1);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

/* The texts are those that the kernel writes (Documentation/admin-guide/cgroup-v2.rst). */
static void test_quota_texts(void **state)
{
	char directory[] = "/tmp/sidestep-quota-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(processors_quota(directory), UINT_MAX);
	assert_int_equal(write_file(directory, "cpu.max", "max 100000\n"), 0);
	assert_int_equal(processors_quota(directory), UINT_MAX);
	assert_int_equal(write_file(directory, "cpu.max", "1000 100000\n"), 0);
	assert_int_equal(processors_quota(directory), 1);
	assert_int_equal(write_file(directory, "cpu.max", "200000 100000\n"), 0);
	assert_int_equal(processors_quota(directory), 2);
	assert_int_equal(write_file(directory, "cpu.max", "200001 100000\n"), 0);
	assert_int_equal(processors_quota(directory), 3);
	remove_file(directory, "cpu.max");
	assert_int_equal(write_file(directory, "cpu.cfs_quota_us", "-1\n"), 0);
	assert_int_equal(write_file(directory, "cpu.cfs_period_us", "50000\n"), 0);
	assert_int_equal(processors_quota(directory), UINT_MAX);
	assert_int_equal(write_file(directory, "cpu.cfs_quota_us", "150000\n"), 0);
	assert_int_equal(processors_quota(directory), 3);
	remove_file(directory, "cpu.cfs_quota_us");
	remove_file(directory, "cpu.cfs_period_us");
	assert_int_equal(rmdir(directory), 0);
}

/* Makes a group with half a processor and one below it without a limit. Returns false where the
 * kernel's controller "cpu" is in no hierarchy that may be changed. */
static bool make_groups(const char *outer, const char *inner)
{
	if (mkdir(outer, 0700) < 0)
		return false;
	if ((write_file(outer, "cpu.max", "50000 100000") < 0 &&
	     write_file(outer, "cpu.cfs_quota_us", "50000") < 0) ||
	    mkdir(inner, 0700) < 0) {
		(void)rmdir(outer);
		return false;
	}
	return true;
}

static void test_group(void **state)
{
	char outer[PATH_MAX - 8], inner[PATH_MAX];
	int status = -1;
	pid_t child;

	(void)state;
	(void)snprintf(outer, sizeof(outer), "%s/sidestep-test-%d",
		       access(GROUPS_V1, F_OK) == 0 ? GROUPS_V1 : GROUPS_V2, (int)getpid());
	(void)snprintf(inner, sizeof(inner), "%s/inner", outer);
	if (!make_groups(outer, inner)) {
		print_message("the controller \"cpu\" cannot be used here\n");
		skip();
	}
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(write_file(inner, "cgroup.procs", "0") == 0 ? (int)processors_usable() : 255);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(rmdir(inner), 0);
	assert_int_equal(rmdir(outer), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

static void test_threads(void **state)
{
	(void)state;
	assert_int_equal(sidecar_threads_choose(0, 1, 1048576), 1);
	assert_int_equal(sidecar_threads_choose(0, 8, 1048576), 8);
	assert_int_equal(sidecar_threads_choose(0, 64, 1048576), 8);
	assert_int_equal(sidecar_threads_choose(64, 1, 1048576), 64);
	assert_int_equal(sidecar_threads_choose(0, 64, 1024), 8);
	assert_int_equal(sidecar_threads_choose(64, 64, 1024), 512 / PROXY_THREAD_DESCRIPTORS);
	assert_int_equal(sidecar_threads_choose(0, 64, 256), 128 / PROXY_THREAD_DESCRIPTORS);
	assert_int_equal(sidecar_threads_choose(0, 64, 0), 1);
	assert_int_equal(sidecar_threads_choose(64, 64, ULONG_MAX), 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_affinity),
		cmocka_unit_test(test_quota_texts),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
