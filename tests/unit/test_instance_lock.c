// SPDX-License-Identifier: Apache-2.0
/* Tests of the instance lock and its mark in network namespaces of their own, with processes that
 * compete for it. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/netlink.h>

#include <cmocka.h>

#include "lib/log.h"
#include "lib/netns.h"
#include "lib/util.h"
#include "net/instance_lock.h"

#define NOBODY 65534

static int set_up(void **state)
{
	int netns_fd = netns_new();

	(void)state;
	log_set_level(LOG_ERROR);
	return netns_fd < 0 ? -1 : close(netns_fd);
}

/* A process that has reported a byte and waits to be released. */
struct other {
	pid_t pid;
	int report_fd, release_fd;
};

/* Forks. The child runs @act, whose result it reports, and keeps everything until it is released.
 */
static struct other other_start(int (*act)(void))
{
	int report[2], release[2];
	struct other other;

	assert_int_equal(pipe(report), 0);
	assert_int_equal(pipe(release), 0);
	other = (struct other) {fork(), report[0], release[1]};
	assert_true(other.pid >= 0);
	if (other.pid == 0) {
		char result;

		(void)close(release[1]);
		result = (char)act();
		if (write(report[1], &result, 1) != 1 || read(release[0], &result, 1) != 0)
			_exit(1);
		_exit(0);
	}
	(void)close(report[1]);
	(void)close(release[0]);
	return other;
}

static int other_result(const struct other *other)
{
	char result = -1;

	assert_int_equal(read(other->report_fd, &result, 1), 1);
	return result;
}

static void other_end(const struct other *other)
{
	int status = -1;

	(void)close(other->release_fd);
	(void)close(other->report_fd);
	assert_int_equal(waitpid(other->pid, &status, 0), other->pid);
	assert_int_equal(status, 0);
}

static int take(void)
{
	return instance_lock() >= 0 ? 1 : 0;
}

static void test_one_instance_holds_it(void **state)
{
	struct other other;
	int fd;

	(void)state;
	assert_int_equal(instance_holder(), -1);
	other = other_start(take);
	assert_int_equal(other_result(&other), 1);
	assert_int_equal(instance_holder(), other.pid);
	assert_int_equal(instance_lock(), -EADDRINUSE);
	other_end(&other);
	assert_int_equal(instance_holder(), -1);
	fd = instance_lock();
	assert_true(fd >= 0);
	(void)close(fd);
}

static int take_in_pid_namespace(void)
{
	struct other inner;
	int result;

	if (unshare(CLONE_NEWPID) < 0)
		return 2;
	inner = other_start(take);
	result = other_result(&inner);
	/* It lives until the process that waits here ends. */
	return result;
}

static void test_other_pid_namespaces_are_excluded(void **state)
{
	struct other other = other_start(take_in_pid_namespace);

	(void)state;
	assert_int_equal(other_result(&other), 1);
	/* Its number there is 1, which is another process's here. */
	assert_int_equal(instance_holder(), 0);
	assert_int_equal(instance_lock(), -EADDRINUSE);
	other_end(&other);
}

static int take_in_other_netns(void)
{
	return netns_new() < 0 ? 2 : take();
}

static void test_each_network_namespace_has_its_own(void **state)
{
	struct other other = other_start(take_in_other_netns);
	int fd;

	(void)state;
	assert_int_equal(other_result(&other), 1);
	assert_int_equal(instance_holder(), -1);
	fd = instance_lock();
	assert_true(fd >= 0);
	(void)close(fd);
	other_end(&other);
}

/* Takes everything that a process without capabilities can take. Returns how much of it was
 * refused. */
static int squat(void)
{
	static const char name[] = "\0sidestep.instance";
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	struct sockaddr_nl port = {.nl_family = AF_NETLINK, .nl_pid = (uint32_t)getppid()};
	int unix_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int netlink_fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);
	unsigned int group;
	int refused = 0;

	memcpy(local.sun_path, name, sizeof(name) - 1);
	if (setuid(NOBODY) < 0 ||
	    bind(unix_fd, (struct sockaddr *)&local,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(name) - 1)) < 0 ||
	    listen(unix_fd, 1) < 0 || bind(netlink_fd, (struct sockaddr *)&port, sizeof(port)) < 0)
		return -1;
	for (group = 1; group <= 32; group++)
		refused += setsockopt(netlink_fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
				      sizeof(group)) < 0;
	return refused;
}

static void test_it_takes_net_admin(void **state)
{
	struct other other = other_start(squat);
	int fd;

	(void)state;
	assert_int_equal(other_result(&other), 32);
	assert_int_equal(instance_holder(), -1);
	fd = instance_lock();
	assert_true(fd >= 0);
	/* The application has the port with our number, so the number is not known. */
	assert_int_equal(instance_holder(), 0);
	(void)close(fd);
	other_end(&other);
}

static int take_as_nobody(void)
{
	return setuid(NOBODY) < 0 ? 2 : instance_lock() == -EPERM;
}

static void test_without_rights_it_is_refused(void **state)
{
	struct other other = other_start(take_as_nobody);

	(void)state;
	assert_int_equal(other_result(&other), 1);
	other_end(&other);
}

static void test_of_many_at_once_one_holds_it(void **state)
{
	struct other others[8];
	int round, winners;
	size_t i;

	(void)state;
	for (round = 0; round < 3; round++) {
		winners = 0;
		for (i = 0; i < ARRAY_SIZE(others); i++)
			others[i] = other_start(take);
		for (i = 0; i < ARRAY_SIZE(others); i++)
			winners += other_result(&others[i]);
		assert_int_equal(winners, 1);
		/* Those that started later have the earlier ones' pipes as well. */
		for (i = ARRAY_SIZE(others); i > 0; i--)
			other_end(&others[i - 1]);
	}
}

static int mark(void)
{
	return take() && instance_mark_live() >= 0 ? 1 : 0;
}

static void assert_state(enum instance_state expected)
{
	enum instance_state state;

	assert_int_equal(instance_state(&state), 0);
	assert_int_equal(state, expected);
}

static void test_the_mark_follows_the_instance(void **state)
{
	struct other other;
	int lock, live;

	(void)state;
	assert_state(INSTANCE_NONE);
	lock = instance_lock();
	assert_state(INSTANCE_STARTS);
	live = instance_mark_live();
	assert_true(lock >= 0 && live >= 0);
	assert_state(INSTANCE_LIVE);
	(void)close(live);
	assert_state(INSTANCE_STARTS);
	(void)close(lock);
	assert_state(INSTANCE_NONE);
	/* A process that ends in any way leaves no mark. */
	other = other_start(mark);
	assert_int_equal(other_result(&other), 1);
	assert_state(INSTANCE_LIVE);
	other_end(&other);
	assert_state(INSTANCE_NONE);
}

static int mark_as_nobody(void)
{
	return setuid(NOBODY) < 0 ? 2 : instance_mark_live() == -EPERM;
}

static void test_nobody_marks_without_rights(void **state)
{
	struct other other = other_start(mark_as_nobody);

	(void)state;
	assert_int_equal(other_result(&other), 1);
	other_end(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_one_instance_holds_it, set_up),
		cmocka_unit_test_setup(test_other_pid_namespaces_are_excluded, set_up),
		cmocka_unit_test_setup(test_each_network_namespace_has_its_own, set_up),
		cmocka_unit_test_setup(test_it_takes_net_admin, set_up),
		cmocka_unit_test_setup(test_without_rights_it_is_refused, set_up),
		cmocka_unit_test_setup(test_of_many_at_once_one_holds_it, set_up),
		cmocka_unit_test_setup(test_the_mark_follows_the_instance, set_up),
		cmocka_unit_test_setup(test_nobody_marks_without_rights, set_up),
	};

	if (geteuid() != 0) {
		(void)puts("1..0 # SKIP network namespaces need root");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
