// SPDX-License-Identifier: Apache-2.0
/*
 * The control API over real sockets: asked from another network namespace, as by the host, with a
 * real proxy and policy behind it. Needs CAP_SYS_ADMIN and CAP_NET_ADMIN.
 */
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/control.h"
#include "lib/log.h"
#include "lib/socket_address.h"
#include "support/two_netns.h"

#define CONTROL_AT "[::]:39001"

struct fixture {
	struct control *control;
	struct proxy *proxy;
	struct policy *policy;
	struct tls_authority *tls;
	int target; /* listens in home, for tunnels */
	char target_text[ADDRESS_TEXT_MAX];
	atomic_int owned, changed, port;
};

static int own_socket(void *context, int fd, const struct sockaddr *destination)
{
	assert_true(fd >= 0 && destination);
	(void)atomic_fetch_add(&((struct fixture *)context)->owned, 1);
	return 0;
}

static void gateway_changed(void *context, const struct socket_address *gateway)
{
	struct fixture *fixture = context;

	atomic_store(&fixture->port,
		     ntohs(((const struct sockaddr_in *)&gateway->address)->sin_port));
	(void)atomic_fetch_add(&fixture->changed, 1);
}

static void target_listen(struct fixture *fixture)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(name);

	fixture->target = socket_in(home_netns, AF_INET);
	assert_int_equal(bind(fixture->target, (struct sockaddr *)&name, size), 0);
	assert_int_equal(listen(fixture->target, 16), 0);
	assert_int_equal(getsockname(fixture->target, (struct sockaddr *)&name, &size), 0);
	endpoint_format((struct sockaddr *)&name, fixture->target_text);
}

static struct fixture *fixture_new(bool tls)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct proxy_config proxy = {.threads = 1,
				     .max_connections = 16,
				     .peek_ms = 20,
				     .connect_ms = 2000,
				     .answer_ms = 2000};
	struct control_config config = {.announcer = {own_socket, fixture},
					.gateway_changed = gateway_changed,
					.context = fixture};
	struct endpoint gateway;

	assert_int_equal(endpoint_parse("127.0.0.1:1", &gateway), 0);
	assert_int_equal(endpoint_parse(CONTROL_AT, &config.address), 0);
	proxy.gateway.address = gateway.address;
	proxy.gateway.size = endpoint_size(&gateway);
	assert_int_equal(proxy_new(&proxy, &fixture->proxy), 0);
	assert_int_equal(proxy_start(fixture->proxy), 0);
	assert_int_equal(policy_new(&fixture->policy), 0);
	if (tls)
		assert_int_equal(tls_authority_new(NULL, &fixture->tls), 0);
	config.proxy = fixture->proxy;
	config.policy = fixture->policy;
	config.gateway = proxy.gateway;
	config.tls = fixture->tls;
	assert_int_equal(control_new(&config, &fixture->control), 0);
	target_listen(fixture);
	return fixture;
}

static void fixture_free(struct fixture *fixture)
{
	control_free(fixture->control);
	proxy_free(fixture->proxy);
	policy_free(fixture->policy);
	tls_authority_free(fixture->tls);
	close(fixture->target);
	free(fixture);
}

static int dial_from(int netns, const char *to)
{
	struct endpoint address;
	int fd;

	assert_int_equal(endpoint_parse(to, &address), 0);
	fd = socket_in(netns, address.address.ss_family);
	assert_int_equal(connect(fd, (struct sockaddr *)&address.address, endpoint_size(&address)),
			 0);
	return fd;
}

static int dial(void)
{
	return dial_from(far_netns, HOME_IPV4 ":39001");
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads to the end, which must be a clean one. */
static void read_all(int fd, char *answer, size_t room)
{
	size_t size = 0;
	ssize_t got;

	while ((got = recv(fd, answer + size, room - 1 - size, 0)) > 0)
		size += (size_t)got;
	assert_int_equal(got, 0);
	answer[size] = '\0';
}

static void expect_answer(int fd, int status, const char *contains)
{
	char answer[8192], want[32];

	(void)snprintf(want, sizeof(want), "HTTP/1.1 %d ", status);
	read_all(fd, answer, sizeof(answer));
	if (strncmp(answer, want, strlen(want)) != 0 || !strstr(answer, contains))
		fail_msg("not %d with \"%s\": %s", status, contains, answer);
	assert_non_null(strstr(answer, "\r\nConnection: close\r\n"));
	close(fd);
}

static void ask(const char *request, int status, const char *contains)
{
	int fd = dial();

	say(fd, request);
	expect_answer(fd, status, contains);
}

static void put(const char *body, int status, const char *contains)
{
	char request[512];

	(void)snprintf(request, sizeof(request),
		       "PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s",
		       strlen(body), body);
	ask(request, status, contains);
}

static void put_changes_policy_and_port(void **state)
{
	struct fixture *fixture = fixture_new(false);

	(void)state;
	assert_true(policy_internet(fixture->policy));
	put("{\"port\":8080,\"internet\":{\"enabled\":false},\"dns\":{\"allowHostnames\":[\"a.b\"]}}",
	    204, "");
	assert_int_equal(fixture->port, 8080);
	assert_int_equal(fixture->changed, 1);
	assert_false(policy_internet(fixture->policy));
	assert_true(policy_allows(fixture->policy, "A.b."));
	assert_false(policy_allows(fixture->policy, "c"));
	/* The same port again is no change. */
	put("{\"port\":8080}", 204, "");
	assert_int_equal(fixture->changed, 1);
	assert_false(policy_internet(fixture->policy));
	put("{\"dns\":{\"allowHostnames\":[]}}", 204, "");
	assert_false(policy_allows(fixture->policy, "a.b"));
	/* Nothing of what is wrong somewhere is applied. */
	put("{\"port\":9090,\"internet\":{\"enabled\":1}}", 400, "internet.enabled");
	put("{\"internet\":{\"enabled\":true},\"dns\":{\"allowHostnames\":[\".\"]},\"port\":70000}",
	    400, "port");
	put("{}", 400, "names nothing");
	assert_int_equal(fixture->port, 8080);
	assert_false(policy_internet(fixture->policy));
	fixture_free(fixture);
}

/* The port must have reached the proxy before the answer. */
static void next_connection_uses_the_new_port(void **state)
{
	struct fixture *fixture = fixture_new(false);
	struct sockaddr_in name;
	socklen_t size = sizeof(name);
	char body[64], request[16] = "";
	int client, gateway;

	(void)state;
	assert_int_equal(getsockname(fixture->target, (struct sockaddr *)&name, &size), 0);
	(void)snprintf(body, sizeof(body), "{\"port\":%d}", ntohs(name.sin_port));
	put(body, 204, "");
	size = sizeof(name);
	assert_int_equal(getsockname(proxy_listener(fixture->proxy, AF_INET, SOCK_STREAM, false),
				     (struct sockaddr *)&name, &size),
			 0);
	client = socket_in(home_netns, AF_INET);
	assert_int_equal(connect(client, (struct sockaddr *)&name, size), 0);
	gateway = accept(fixture->target, NULL, NULL);
	assert_int_equal(recv(gateway, request, 8, MSG_WAITALL), 8);
	assert_string_equal(request, "CONNECT ");
	close(client);
	close(gateway);
	fixture_free(fixture);
}

static void every_refusal_has_its_status(void **state)
{
	struct fixture *fixture = fixture_new(false);

	(void)state;
	ask("GET /ca HTTP/1.1\r\nHost: a\r\n\r\n", 404, "TLS interception is off");
	ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404, "no such path");
	ask("PUT /egress/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 404,
	    "Content-Length: ");
	ask("POST /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 405,
	    "\r\nAllow: PUT\r\n");
	ask("HEAD /ca HTTP/1.0\r\n\r\n", 405, "\r\nAllow: GET\r\n");
	ask("PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n", 413, "64 KiB");
	ask("PUT /egress HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "chunked");
	ask("GET /ca HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP/1.1");
	ask("GET /ca HTTP/1.1\r\n\r\n", 400, "Host");
	ask("PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: x\r\n\r\n", 417,
	    "Expect");
	fixture_free(fixture);
}

static void certificate_is_served(void **state)
{
	struct fixture *fixture = fixture_new(true);

	(void)state;
	ask("GET /ca HTTP/1.1\r\nHost: a\r\n\r\n", 200, "Content-Type: application/x-pem-file\r\n");
	ask("GET /ca HTTP/1.0\r\n\r\n", 200, "\r\n\r\n-----BEGIN CERTIFICATE-----\n");
	fixture_free(fixture);
}

static void arrivals_may_be_split(void **state)
{
	static const char request[] = "PUT /egress HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
				      "Content-Length: 11\r\n\r\n";
	struct fixture *fixture = fixture_new(false);
	char go_on[32] = "";
	size_t i;
	int fd = dial();

	(void)state;
	for (i = 0; i < sizeof(request) - 1; i++)
		assert_int_equal(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(fd, go_on, 25, MSG_WAITALL), 25);
	assert_string_equal(go_on, "HTTP/1.1 100 Continue\r\n\r\n");
	say(fd, "{\"port\"");
	say(fd, ":77}");
	expect_answer(fd, 204, "");
	assert_int_equal(fixture->port, 77);
	/* The client may have said all: half-closed. One that says less gets told. */
	fd = dial();
	say(fd, "GET /ca HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	expect_answer(fd, 404, "");
	fd = dial();
	say(fd, "GET /ca HTTP/1.1\r\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	expect_answer(fd, 400, "ends before");
	fixture_free(fixture);
}

static void second_request_is_ignored(void **state)
{
	struct fixture *fixture = fixture_new(false);

	(void)state;
	ask("PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{\"port\":5}"
	    "PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{\"port\":6}",
	    204, "");
	assert_int_equal(fixture->port, 5);
	fixture_free(fixture);
}

static void slow_requests_end(void **state)
{
	struct fixture *fixture = fixture_new(false);
	int silent = dial(), slow = dial();
	char byte;

	(void)state;
	say(slow, "GET /ca");
	expect_answer(slow, 408, "5 s");
	assert_int_equal(recv(silent, &byte, 1, 0), 0);
	close(silent);
	fixture_free(fixture);
}

static void oldest_waiting_makes_room(void **state)
{
	struct fixture *fixture = fixture_new(false);
	int fds[256], i;
	char byte;

	(void)state;
	for (i = 0; i < 256; i++)
		fds[i] = dial();
	ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404, "");
	assert_int_equal(recv(fds[0], &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(recv(fds[255], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	for (i = 0; i < 256; i++)
		close(fds[i]);
	fixture_free(fixture);
}

static void inside_is_refused(void **state)
{
	static const char *const addresses[] = {"127.0.0.1:39001", "[::1]:39001",
						HOME_IPV4 ":39001", "[" HOME_IPV6 "]:39001"};
	struct fixture *fixture = fixture_new(false);
	char connect_text[128];
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < 4; i++) {
		fd = dial_from(home_netns, addresses[i]);
		say(fd,
		    "PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{\"port\":5}");
		expect_answer(fd, 403, "from the host");
	}
	fd = dial_from(home_netns, addresses[0]);
	(void)snprintf(connect_text, sizeof(connect_text),
		       "CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: %s\r\n\r\n", fixture->target_text);
	say(fd, connect_text);
	expect_answer(fd, 403, "from the host");
	assert_int_equal(fixture->changed, 0);
	assert_int_equal(fixture->owned, 0);
	/* From the host it works over IPv6 as well. */
	fd = dial_from(far_netns, addresses[3]);
	say(fd, "PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{\"port\":5}");
	expect_answer(fd, 204, "");
	assert_int_equal(fixture->port, 5);
	fixture_free(fixture);
}

/* Opens a tunnel, with @early behind the request's head; @ret_target is its other end. */
static int tunnel(struct fixture *fixture, const char *early, int *ret_target)
{
	static const char want[] = "HTTP/1.1 200 OK\r\n\r\n";
	char text[256], answer[sizeof(want)] = "";
	int fd = dial();

	(void)snprintf(text, sizeof(text), "CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: %s\r\n\r\n%s",
		       fixture->target_text, early);
	say(fd, text);
	*ret_target = accept4(fixture->target, NULL, NULL, SOCK_CLOEXEC);
	assert_true(*ret_target >= 0);
	assert_int_equal(recv(fd, answer, sizeof(want) - 1, MSG_WAITALL), sizeof(want) - 1);
	assert_string_equal(answer, want);
	return fd;
}

static void tunnel_carries_both_ways(void **state)
{
	struct fixture *fixture = fixture_new(false);
	char text[64] = "";
	int target, fd = tunnel(fixture, "early", &target);

	(void)state;
	assert_int_equal(fixture->owned, 1);
	say(fd, " late");
	assert_int_equal(recv(target, text, 10, MSG_WAITALL), 10);
	assert_string_equal(text, "early late");
	/* The client ends its half, the target answers after that, then ends its own. */
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_int_equal(recv(target, text, 1, 0), 0);
	say(target, "answer");
	close(target);
	read_all(fd, text, sizeof(text));
	assert_string_equal(text, "answer");
	close(fd);
	/* And the other way round. */
	fd = tunnel(fixture, "", &target);
	say(target, "220 hello");
	assert_int_equal(shutdown(target, SHUT_WR), 0);
	read_all(fd, text, sizeof(text));
	assert_string_equal(text, "220 hello");
	say(fd, "bye");
	close(fd);
	read_all(target, text, sizeof(text));
	assert_string_equal(text, "bye");
	close(target);
	fixture_free(fixture);
}

static void reset_on_close(int fd)
{
	struct linger linger = {.l_onoff = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	close(fd);
}

static void reset_passes_as_reset(void **state)
{
	struct fixture *fixture = fixture_new(false);
	int target, fd = tunnel(fixture, "", &target);
	char byte;

	(void)state;
	reset_on_close(fd);
	assert_int_equal(recv(target, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(target);
	fd = tunnel(fixture, "", &target);
	reset_on_close(target);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	/* The end of the control resets what is open. */
	fd = tunnel(fixture, "", &target);
	fixture_free(fixture);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	close(target);
}

static void tunnel_refusals_say_why(void **state)
{
	struct fixture *fixture = fixture_new(false);

	(void)state;
	ask("CONNECT a:1 HTTP/1.1\r\n\r\n", 400, "X-Dst-Addr");
	ask("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: localhost:80\r\n\r\n", 400, "literal");
	ask("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: 127.0.0.1\r\n\r\n", 400, "literal");
	ask("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: ::1:80\r\n\r\n", 400, "literal");
	ask("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: 127.0.0.1:1\r\nX-Dst-Addr: 127.0.0.1:1\r\n\r\n",
	    400, "more than one");
	ask("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: 127.0.0.1:1\r\n\r\n", 400, "Connection refused");
	ask("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: [::1]:1\r\n\r\nearly", 400, "Connection refused");
	ask("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: 192.0.2.1:80\r\n\r\n", 400, "unreachable");
	fixture_free(fixture);
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
	struct fixture *fixture = fixture_new(false);
	int i, before = 0, target, fd;
	char byte;

	(void)state;
	for (i = 0; i < 1001; i++) {
		fd = tunnel(fixture, "x", &target);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		assert_int_equal(recv(target, &byte, 1, MSG_WAITALL), 1);
		assert_int_equal(recv(target, &byte, 1, 0), 0);
		close(target);
		assert_int_equal(recv(fd, &byte, 1, 0), 0);
		close(fd);
		/* The thread has closed its ends once it answers the next request. */
		ask("GET / HTTP/1.0\r\n\r\n", 404, "");
		if (i == 0)
			before = count_fds();
	}
	/* The last request's own connection may still be open, then and now. */
	assert_true(abs(count_fds() - before) <= 1);
	fixture_free(fixture);
}

static void *put_often(void *context)
{
	int i, port = *(int *)context;
	char body[128];

	for (i = 0; i < 50; i++) {
		(void)snprintf(body, sizeof(body),
			       "{\"port\":%d,\"dns\":{\"allowHostnames\":[\"n%d\"]}}", port, port);
		put(body, 204, "");
	}
	return NULL;
}

static void concurrent_puts_stay_consistent(void **state)
{
	struct fixture *fixture = fixture_new(false);
	int ports[4] = {1001, 1002, 1003, 1004}, i, allowed = 0;
	pthread_t threads[4];
	char name[16];

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_often, &ports[i]), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (i = 0; i < 4; i++) {
		(void)snprintf(name, sizeof(name), "n%d", ports[i]);
		if (policy_allows(fixture->policy, name)) {
			assert_int_equal(fixture->port, ports[i]);
			allowed++;
		}
	}
	assert_int_equal(allowed, 1);
	fixture_free(fixture);
}

static void taken_port_is_an_error(void **state)
{
	struct fixture *fixture = fixture_new(false);
	struct control_config config = {.proxy = fixture->proxy, .policy = fixture->policy};
	struct control *control;

	(void)state;
	assert_int_equal(endpoint_parse("0.0.0.0:39001", &config.address), 0);
	assert_int_equal(control_new(&config, &control), -EADDRINUSE);
	fixture_free(fixture);
}

static void unix_gateway_has_no_port(void **state)
{
	struct fixture *fixture = fixture_new(false);
	struct control_config config = {.proxy = fixture->proxy,
					.policy = fixture->policy,
					.gateway.address.ss_family = AF_UNIX};

	(void)state;
	control_free(fixture->control);
	assert_int_equal(endpoint_parse(CONTROL_AT, &config.address), 0);
	assert_int_equal(control_new(&config, &fixture->control), 0);
	put("{\"port\":1,\"internet\":{\"enabled\":false}}", 400, "unix socket");
	assert_true(policy_internet(fixture->policy));
	put("{\"internet\":{\"enabled\":false}}", 204, "");
	assert_false(policy_internet(fixture->policy));
	fixture_free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_changes_policy_and_port),
		cmocka_unit_test(next_connection_uses_the_new_port),
		cmocka_unit_test(every_refusal_has_its_status),
		cmocka_unit_test(certificate_is_served),
		cmocka_unit_test(arrivals_may_be_split),
		cmocka_unit_test(second_request_is_ignored),
		cmocka_unit_test(slow_requests_end),
		cmocka_unit_test(oldest_waiting_makes_room),
		cmocka_unit_test(inside_is_refused),
		cmocka_unit_test(tunnel_carries_both_ways),
		cmocka_unit_test(reset_passes_as_reset),
		cmocka_unit_test(tunnel_refusals_say_why),
		cmocka_unit_test(thousand_tunnels_leave_nothing),
		cmocka_unit_test(concurrent_puts_stay_consistent),
		cmocka_unit_test(taken_port_is_an_error),
		cmocka_unit_test(unix_gateway_has_no_port),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, make_namespaces, NULL);
}
