// SPDX-License-Identifier: Apache-2.0
/* Tests of the small pieces in user/lib: complaints, escapes, network namespaces, socket addresses,
 * signals, memory. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/complaint.h"
#include "lib/escape.h"
#include "lib/netns.h"
#include "lib/process.h"
#include "lib/socket_address.h"
#include "lib/util.h"

static void test_complaints_are_limited(void **state)
{
	struct complaint connect = {0}, refused = {0};
	char suffix[COMPLAINT_SUFFIX_MAX];
	int i, due = 0;

	(void)state;
	for (i = 0; i < 100; i++)
		due += complaint_due(&connect, suffix);
	assert_true(due >= 1 && due <= 2);
	assert_true(complaint_due(&refused, suffix));
	assert_string_equal(suffix, "");
	/* As if a second had passed. */
	connect.last_ms -= 1000;
	assert_true(complaint_due(&connect, suffix));
	assert_non_null(strstr(suffix, "more like this"));
}

static void test_escaped_text(void **state)
{
	static const struct {
		const char *text, *shown;
		size_t size;
	} cases[] = {
		{"", "", 1},
		{"0.1.0", "0.1.0", 16},
		{"\033[31mred", "\\x1b[31mred", 16},
		{"a\n\x7f\xff", "a\\x0a\\x7f\\xff", 16},
		{"a\\x1b", "a\\\\x1b", 16},
		/* No part of an escape is left when it does not fit. */
		{"abc", "ab", 3},
		{"a\033", "a", 5},
		{"a\033", "a\\x1b", 6},
	};
	char buffer[16];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(escape_text(buffer, cases[i].size, cases[i].text),
				    cases[i].shown);
}

static void test_clock_units_agree(void **state)
{
	uint64_t before = clock_ns(), ms = clock_ms(), after = clock_ns();

	(void)state;
	assert_true(ms >= before / 1000000 && ms <= after / 1000000);
}

/* A thread of its own enters namespaces, so that the test's stays. */
static void *move_through_namespaces(void *context)
{
	static char missing[] = "CAP_SYS_ADMIN";
	_cleanup_close_ int home = netns_open_own(), other = -1;
	uint64_t first = 0, second = 0, back = 0;
	struct stat a, b;

	(void)context;
	assert_true(home >= 0);
	assert_int_equal(netns_cookie_own(&first), 0);
	other = netns_new();
	if (other == -EPERM)
		return missing;
	assert_true(other >= 0);
	assert_int_equal(netns_cookie_own(&second), 0);
	assert_true(first != second);
	assert_int_equal(netns_enter(home), 0);
	assert_int_equal(netns_cookie_own(&back), 0);
	assert_true(back == first);
	assert_int_equal(fstat(home, &a), 0);
	assert_int_equal(fstat(other, &b), 0);
	assert_true(a.st_ino != b.st_ino);
	return NULL;
}

static void test_network_namespaces(void **state)
{
	_cleanup_close_ int of_self = netns_open_of(getpid());
	pthread_t thread;
	void *reason;
	uint64_t cookie;

	(void)state;
	assert_true(of_self >= 0);
	assert_int_equal(netns_open_of(-1), -ENOENT);
	assert_int_equal(netns_cookie_of(-1, &cookie), -EBADF);
	assert_int_equal(pthread_create(&thread, NULL, move_through_namespaces, NULL), 0);
	assert_int_equal(pthread_join(thread, &reason), 0);
	if (reason) {
		print_message("%s is not there\n", (const char *)reason);
		skip();
	}
}

static void test_socket_addresses(void **state)
{
	struct socket_address local = {0}, other = {0}, inet = {.size = sizeof(struct sockaddr_in)};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&inet.address;
	char text[SOCKET_ADDRESS_TEXT_MAX], path[200];

	(void)state;
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(socket_address_unix("relative", &local), -EINVAL);
	assert_int_equal(socket_address_unix(path, &local), -EINVAL);
	assert_int_equal(local.size, 0);
	assert_int_equal(socket_address_unix("/run/gateway", &local), 0);
	assert_string_equal(socket_address_format(&local, text), "unix:/run/gateway");
	assert_null(socket_address_port(&local));
	assert_false(socket_address_is_loopback(&local));

	v4->sin_family = AF_INET;
	v4->sin_port = htons(80);
	v4->sin_addr.s_addr = htonl(0x7f000002);
	assert_string_equal(socket_address_format(&inet, text), "127.0.0.2:80");
	assert_true(socket_address_is_loopback(&inet));
	assert_int_equal(*socket_address_port(&inet), htons(80));
	*socket_address_port(&inet) = htons(81);
	assert_int_equal(v4->sin_port, htons(81));

	other = inet;
	assert_true(socket_address_equal(&other, &inet));
	assert_false(socket_address_equal(&local, &inet));
}

static void test_signals_are_read(void **state)
{
	sigset_t before, now;
	_cleanup_close_ int fd = process_open_signals(&before);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &now), 0);
	assert_true(sigismember(&now, SIGTERM) && sigismember(&now, SIGINT));
	assert_int_equal(raise(SIGTERM), 0);
	process_read_signal(fd);
	/* It is spent: this ends the process otherwise. */
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

static void test_memory_is_hidden(void **state)
{
	(void)state;
	assert_int_equal(prctl(PR_GET_DUMPABLE), 1);
	process_hide_memory();
	assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
	assert_int_equal(prctl(PR_SET_DUMPABLE, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complaints_are_limited),
		cmocka_unit_test(test_escaped_text),
		cmocka_unit_test(test_clock_units_agree),
		cmocka_unit_test(test_network_namespaces),
		cmocka_unit_test(test_socket_addresses),
		cmocka_unit_test(test_signals_are_read),
		cmocka_unit_test(test_memory_is_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
