// SPDX-License-Identifier: Apache-2.0
/* Tests how the agent finds a network namespace: by a process in it, or by a mount in any mount
 * namespace. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/agent_find.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "programs/programs.h"

/* The name of the mount point makes mountinfo write numbers for the blank and the backslash. */
#define NAME "a \\ b"

enum keeps {
	IN_IT,
	BY_A_MOUNT,
	BY_A_MOUNT_BELOW_A_PIPE
};

static char folder[] = "/tmp/test-find-XXXXXX", place[64];
static int own;
static pid_t keeper;

static int mount_memory(void)
{
	return mount("none", folder, "tmpfs", 0, NULL);
}

/* Mounts the thread's network namespace, and leaves it. A pipe may come to lie over the mount, as a
 * container could arrange it. */
static int keep_by_mount(enum keeps keeps)
{
	FILE *file;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount_memory() < 0 || !(file = fopen(place, "w")) || fclose(file) != 0 ||
	    mount("/proc/self/ns/net", place, NULL, MS_BIND, NULL) < 0 || netns_enter(own) < 0)
		return -1;
	return keeps == BY_A_MOUNT || (mount_memory() == 0 && mkfifo(place, 0600) == 0) ? 0 : -1;
}

static void keep(enum keeps keeps, int pipe_fd)
{
	uint32_t netns;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (unshare(CLONE_NEWNET) < 0 || programs_netns(&netns) < 0 ||
	    (keeps != IN_IT && keep_by_mount(keeps) < 0) ||
	    write(pipe_fd, &netns, sizeof(netns)) < 0)
		_exit(1);
	for (;;)
		(void)pause();
}

/* Starts the process that keeps a new namespace, and returns the namespace's number. */
static uint32_t kept(enum keeps keeps)
{
	uint32_t netns;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	keeper = fork();
	assert_true(keeper >= 0);
	if (keeper == 0)
		keep(keeps, ends[1]);
	(void)close(ends[1]);
	assert_int_equal(read(ends[0], &netns, sizeof(netns)), sizeof(netns));
	(void)close(ends[0]);
	return netns;
}

static void end_keeper(void)
{
	(void)kill(keeper, SIGKILL);
	(void)waitpid(keeper, NULL, 0);
}

/* Searches, and comes back. Closes what was found. */
static int find(uint32_t netns)
{
	_cleanup_close_ int found = agent_find_netns(netns);
	uint32_t number;

	if (found >= 0) {
		assert_int_equal(netns_enter(found), 0);
		assert_int_equal(programs_netns(&number), 0);
		assert_int_equal(number, netns);
	}
	assert_int_equal(netns_enter(own), 0);
	return found < 0 ? found : 0;
}

static void test_found(void **state)
{
	static const enum keeps ways[] = {IN_IT, BY_A_MOUNT};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		uint32_t netns = kept(ways[i]);

		assert_int_equal(find(netns), 0);
		end_keeper();
		assert_int_equal(find(netns), -ESRCH);
	}
}

/* The search would wait for the pipe's other end. */
static void test_nothing_else_is_opened(void **state)
{
	uint32_t netns = kept(BY_A_MOUNT_BELOW_A_PIPE);

	(void)state;
	(void)alarm(30);
	assert_int_equal(find(netns), -ESRCH);
	(void)alarm(0);
	end_keeper();
}

static int make_folder(void **state)
{
	(void)state;
	own = netns_open_own();
	if (own < 0 || !mkdtemp(folder))
		return -1;
	(void)snprintf(place, sizeof(place), "%s/" NAME, folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	(void)close(own);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_nothing_else_is_opened),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
