// SPDX-License-Identifier: Apache-2.0
/*
 * Tests the tunnels of the control API, over real sockets from another network namespace. Needs
 * CAP_SYS_ADMIN and CAP_NET_ADMIN.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/log.h"
#include "lib/util.h"
#include "support/control_bed.h"
#include "support/peer.h"
#include "support/two_netns.h"

/* Opens a tunnel and sends @early behind the head. @ret_target is the other end. */
static int open_tunnel(struct control_bed *bed, const char *early, int *ret_target)
{
	static const char want[] = "HTTP/1.1 200 OK\r\n\r\n";
	char text[256], answer[sizeof(want)] = "";
	int fd = control_dial();

	(void)snprintf(text, sizeof(text), "CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: %s\r\n\r\n%s",
		       bed->target_text, early);
	say(fd, text);
	*ret_target = accept4(bed->target, NULL, NULL, SOCK_CLOEXEC);
	assert_true(*ret_target >= 0);
	assert_int_equal(recv(fd, answer, sizeof(want) - 1, MSG_WAITALL), sizeof(want) - 1);
	assert_string_equal(answer, want);
	return fd;
}

static void tunnel_carries_both_ways(void **state)
{
	struct control_bed *bed = control_bed_new(false);
	char text[64] = "";
	int target, fd = open_tunnel(bed, "early", &target);

	(void)state;
	say(fd, " late");
	assert_int_equal(recv(target, text, 10, MSG_WAITALL), 10);
	assert_string_equal(text, "early late");
	/* The client half-closes, and the target answers and closes. */
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_int_equal(recv(target, text, 1, 0), 0);
	say(target, "answer");
	close(target);
	control_read_all(fd, text, sizeof(text));
	assert_string_equal(text, "answer");
	close(fd);
	/* The target half-closes first. */
	fd = open_tunnel(bed, "", &target);
	say(target, "220 hello");
	assert_int_equal(shutdown(target, SHUT_WR), 0);
	control_read_all(fd, text, sizeof(text));
	assert_string_equal(text, "220 hello");
	say(fd, "bye");
	close(fd);
	control_read_all(target, text, sizeof(text));
	assert_string_equal(text, "bye");
	close(target);
	control_bed_free(bed);
}

static void reset_on_close(int fd)
{
	struct linger linger = {.l_onoff = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	close(fd);
}

static void reset_passes_as_reset(void **state)
{
	struct control_bed *bed = control_bed_new(false);
	int target, fd = open_tunnel(bed, "", &target);
	char byte;

	(void)state;
	reset_on_close(fd);
	assert_int_equal(recv(target, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(target);
	fd = open_tunnel(bed, "", &target);
	reset_on_close(target);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	/* The end of the control API resets open tunnels. */
	fd = open_tunnel(bed, "", &target);
	control_bed_free(bed);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	close(target);
}

static void tunnel_refusals_say_why(void **state)
{
	struct control_bed *bed = control_bed_new(false);

	(void)state;
	control_ask("CONNECT a:1 HTTP/1.1\r\n\r\n", 400, "X-Dst-Addr");
	control_ask("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: localhost:80\r\n\r\n", 400, "literal");
	control_ask("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: 127.0.0.1\r\n\r\n", 400, "literal");
	control_ask("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: ::1:80\r\n\r\n", 400, "literal");
	control_ask(
		"CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: 127.0.0.1:1\r\nX-Dst-Addr: 127.0.0.1:1\r\n\r\n",
		400, "more than one");
	control_ask("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: 127.0.0.1:1\r\n\r\n", 400,
		    "Connection refused");
	control_ask("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: [::1]:1\r\n\r\nearly", 400,
		    "Connection refused");
	control_bed_free(bed);
}

/* Expects a refusal, and that nobody has connected to @outside. */
static void expect_no_tunnel(const char *target, int outside)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: %s\r\n\r\n",
		       target);
	control_ask(text, 400, "no address of this network namespace");
	assert_int_equal(poll(&(struct pollfd) {.fd = outside, .events = POLLIN}, 1, 0), 0);
}

/* A tunnel does not lead out, neither to the client itself nor beyond it. The namespace's own
 * addresses can all be reached. */
static void tunnel_leads_only_inside(void **state)
{
	static const char *const own[] = {"127.0.0.1", "127.9.9.9", "0.0.0.0",	      HOME_IPV4,
					  "[::1]",     "[::]",	    "[" HOME_IPV6 "]"};
	struct control_bed *bed = control_bed_new(false);
	int outside = socket_in(far_netns, AF_INET6);
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(40080)};
	char text[256];
	size_t i;

	(void)state;
	assert_int_equal(bind(outside, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(outside, 16), 0);
	/* The connection itself is possible. */
	close(control_dial_from(home_netns, FAR_IPV4 ":40080"));
	close(accept4(outside, NULL, NULL, SOCK_CLOEXEC));
	expect_no_tunnel(FAR_IPV4 ":40080", outside);
	expect_no_tunnel("[" FAR_IPV6 "]:40080", outside);
	expect_no_tunnel("192.0.2.1:80", outside);
	expect_no_tunnel("[2001:db8::1]:80", outside);
	close(outside);
	for (i = 0; i < ARRAY_SIZE(own); i++) {
		(void)snprintf(text, sizeof(text),
			       "CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: %s:1\r\n\r\n", own[i]);
		control_ask(text, 400, "Connection refused");
	}
	control_bed_free(bed);
}

/* No tunnel leads to a broadcast address or a group. */
static void tunnel_has_one_peer(void **state)
{
	struct control_bed *bed = control_bed_new(false);

	(void)state;
	control_ask("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: 10.9.0.255:80\r\n\r\n", 400, "cannot");
	control_ask("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: 224.0.0.1:80\r\n\r\n", 400, "cannot");
	control_ask("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: [ff02::1]:80\r\n\r\n", 400, "");
	control_bed_free(bed);
}

static int count_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static void thousand_tunnels_leave_nothing(void **state)
{
	struct control_bed *bed = control_bed_new(false);
	int i, before = 0, target, fd;
	char byte;

	(void)state;
	for (i = 0; i < 1001; i++) {
		fd = open_tunnel(bed, "x", &target);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		assert_int_equal(recv(target, &byte, 1, MSG_WAITALL), 1);
		assert_int_equal(recv(target, &byte, 1, 0), 0);
		close(target);
		assert_int_equal(recv(fd, &byte, 1, 0), 0);
		close(fd);
		/* The thread has closed its ends when it answers the next request. */
		control_ask("GET / HTTP/1.0\r\n\r\n", 404, "");
		if (i == 0)
			before = count_fds();
	}
	/* The connection of the last request may still be open, before and now. */
	assert_true(abs(count_fds() - before) <= 1);
	control_bed_free(bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tunnel_carries_both_ways),
		cmocka_unit_test(reset_passes_as_reset),
		cmocka_unit_test(tunnel_refusals_say_why),
		cmocka_unit_test(tunnel_leads_only_inside),
		cmocka_unit_test(tunnel_has_one_peer),
		cmocka_unit_test(thousand_tunnels_leave_nothing),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, make_namespaces, NULL);
}
