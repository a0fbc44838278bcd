// SPDX-License-Identifier: Apache-2.0
/* Tests process_rights with children that hold CAP_NET_ADMIN in other user namespaces, or nowhere.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/netns.h"
#include "lib/process_rights.h"
#include "lib/util.h"
#include "support/descriptors.h"

struct child {
	pid_t pid;
	int pidfd;
	int netns_fd;
};

static int lose_net_admin(void)
{
	cap_value_t net_admin = CAP_NET_ADMIN;
	cap_t now = cap_get_proc();
	int error = !now || cap_set_flag(now, CAP_EFFECTIVE, 1, &net_admin, CAP_CLEAR) < 0 ||
		    cap_set_proc(now) < 0;

	(void)cap_free(now);
	return error ? -1 : 0;
}

/* Starts a process that enters new namespaces (unshare(2)), and gives up CAP_NET_ADMIN unless
 * @privileged. */
static struct child start(int namespaces, bool privileged)
{
	struct child child = {.netns_fd = -1};
	int ready[2];
	char byte = 0;

	assert_int_equal(pipe(ready), 0);
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || unshare(namespaces) < 0 ||
		    (!privileged && lose_net_admin() < 0) || write(ready[1], "r", 1) != 1)
			_exit(1);
		(void)pause();
		_exit(0);
	}
	assert_int_equal(close(ready[1]), 0);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(close(ready[0]), 0);
	child.pidfd = (int)syscall(SYS_pidfd_open, child.pid, 0);
	child.netns_fd = netns_open_of(child.pid);
	assert_true(child.pidfd >= 0 && child.netns_fd >= 0);
	return child;
}

static void kill_child(const struct child *child)
{
	int status;

	assert_int_equal(kill(child->pid, SIGKILL), 0);
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
}

static void end(struct child *child)
{
	kill_child(child);
	assert_int_equal(close(child->pidfd), 0);
	assert_int_equal(close(child->netns_fd), 0);
}

static int rights_of(const struct child *child)
{
	return process_rights_net_admin(child->pidfd, child->pid, child->netns_fd);
}

static void test_effective_capability(void **state)
{
	struct child child;

	(void)state;
	child = start(CLONE_NEWNET, true);
	assert_int_equal(rights_of(&child), 1);
	end(&child);
	child = start(CLONE_NEWNET, false);
	assert_int_equal(rights_of(&child), 0);
	end(&child);
}

/* A new user namespace gives all capabilities, and anybody may make one. */
static void test_user_namespaces(void **state)
{
	struct child child;
	int own;

	(void)state;
	child = start(CLONE_NEWUSER, true);
	assert_int_equal(rights_of(&child), 0);
	end(&child);
	/* The network namespace is its own as well. */
	child = start(CLONE_NEWUSER | CLONE_NEWNET, true);
	assert_int_equal(rights_of(&child), 1);
	/* A capability holds in the descendants of its user namespace. */
	own = (int)syscall(SYS_pidfd_open, getpid(), 0);
	assert_int_equal(process_rights_net_admin(own, getpid(), child.netns_fd), 1);
	assert_int_equal(close(own), 0);
	end(&child);
}

static void test_ended_process(void **state)
{
	struct child child = start(0, true), other = start(0, true);

	(void)state;
	kill_child(&child);
	assert_int_equal(rights_of(&child), -ESRCH);
	/* Another process has the number now. */
	assert_int_equal(process_rights_net_admin(child.pidfd, other.pid, child.netns_fd), -ESRCH);
	assert_int_equal(close(child.pidfd), 0);
	assert_int_equal(close(child.netns_fd), 0);
	end(&other);
}

static void test_no_free_descriptor(void **state)
{
	struct child child = start(0, true);
	rlim_t before;
	int rights;

	(void)state;
	before = limit_descriptors(1); /* poll(2) takes no more descriptors than that */
	rights = rights_of(&child);
	(void)limit_descriptors(before);
	assert_int_equal(rights, -EMFILE);
	end(&child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_effective_capability),
		cmocka_unit_test(test_user_namespaces),
		cmocka_unit_test(test_ended_process),
		cmocka_unit_test(test_no_free_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
