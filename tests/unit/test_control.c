// SPDX-License-Identifier: Apache-2.0
/*
 * Tests the requests to the control API, over real sockets from another network namespace. Needs
 * CAP_SYS_ADMIN and CAP_NET_ADMIN.
 */
#include <errno.h>
#include <pthread.h>
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

static void put_changes_policy_and_port(void **state)
{
	struct control_bed *bed = control_bed_new(false);

	(void)state;
	assert_true(policy_internet(bed->policy));
	control_put(
		"{\"port\":8080,\"internet\":{\"enabled\":false},\"dns\":{\"allowHostnames\":[\"a.b\"]}}",
		204, "");
	assert_int_equal(bed->port, 8080);
	assert_int_equal(bed->changed, 1);
	assert_false(policy_internet(bed->policy));
	assert_true(policy_allows(bed->policy, "A.b."));
	assert_false(policy_allows(bed->policy, "c"));
	/* The same port again is no change. */
	control_put("{\"port\":8080}", 204, "");
	assert_int_equal(bed->changed, 1);
	assert_false(policy_internet(bed->policy));
	control_put("{\"dns\":{\"allowHostnames\":[]}}", 204, "");
	assert_false(policy_allows(bed->policy, "a.b"));
	/* A body with an error changes nothing. */
	control_put("{\"port\":9090,\"internet\":{\"enabled\":1}}", 400, "internet.enabled");
	control_put(
		"{\"internet\":{\"enabled\":true},\"dns\":{\"allowHostnames\":[\".\"]},\"port\":70000}",
		400, "port");
	control_put("{}", 400, "names nothing");
	assert_int_equal(bed->port, 8080);
	assert_false(policy_internet(bed->policy));
	control_bed_free(bed);
}

/* The port reaches the proxy before the client gets the answer. */
static void next_connection_uses_the_new_port(void **state)
{
	struct control_bed *bed = control_bed_new(false);
	struct sockaddr_in name;
	socklen_t size = sizeof(name);
	char body[64], request[16] = "";
	int client, gateway;

	(void)state;
	assert_int_equal(getsockname(bed->target, (struct sockaddr *)&name, &size), 0);
	(void)snprintf(body, sizeof(body), "{\"port\":%d}", ntohs(name.sin_port));
	control_put(body, 204, "");
	size = sizeof(name);
	assert_int_equal(getsockname(proxy_listener(bed->proxy, AF_INET, SOCK_STREAM, false),
				     (struct sockaddr *)&name, &size),
			 0);
	client = socket_in(home_netns, AF_INET);
	assert_int_equal(connect(client, (struct sockaddr *)&name, size), 0);
	gateway = accept(bed->target, NULL, NULL);
	assert_int_equal(recv(gateway, request, 8, MSG_WAITALL), 8);
	assert_string_equal(request, "CONNECT ");
	close(client);
	close(gateway);
	control_bed_free(bed);
}

static void every_refusal_has_its_status(void **state)
{
	struct control_bed *bed = control_bed_new(false);

	(void)state;
	control_ask("GET /ca HTTP/1.1\r\nHost: a\r\n\r\n", 404, "TLS interception is off");
	control_ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404, "no such path");
	control_ask("PUT /egress/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 404,
		    "Content-Length: ");
	control_ask("POST /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 405,
		    "\r\nAllow: PUT\r\n");
	control_ask("HEAD /ca HTTP/1.0\r\n\r\n", 405, "\r\nAllow: GET\r\n");
	control_ask("PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n", 413,
		    "64 KiB");
	control_ask("PUT /egress HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501,
		    "chunked");
	control_ask("GET /ca HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP/1.1");
	control_ask("GET /ca HTTP/1.1\r\n\r\n", 400, "Host");
	control_ask("PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: x\r\n\r\n",
		    417, "Expect");
	control_bed_free(bed);
}

static void certificate_is_served(void **state)
{
	struct control_bed *bed = control_bed_new(true);

	(void)state;
	control_ask("GET /ca HTTP/1.1\r\nHost: a\r\n\r\n", 200,
		    "Content-Type: application/x-pem-file\r\n");
	control_ask("GET /ca HTTP/1.0\r\n\r\n", 200, "\r\n\r\n-----BEGIN CERTIFICATE-----\n");
	control_bed_free(bed);
}

static void arrivals_may_be_split(void **state)
{
	static const char request[] = "PUT /egress HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
				      "Content-Length: 11\r\n\r\n";
	struct control_bed *bed = control_bed_new(false);
	char go_on[32] = "";
	size_t i;
	int fd = control_dial();

	(void)state;
	for (i = 0; i < sizeof(request) - 1; i++)
		assert_int_equal(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(fd, go_on, 25, MSG_WAITALL), 25);
	assert_string_equal(go_on, "HTTP/1.1 100 Continue\r\n\r\n");
	say(fd, "{\"port\"");
	say(fd, ":77}");
	control_expect_answer(fd, 204, "");
	assert_int_equal(bed->port, 77);
	/* A client may half-close behind its request, but not within it. */
	fd = control_dial();
	say(fd, "GET /ca HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	control_expect_answer(fd, 404, "");
	fd = control_dial();
	say(fd, "GET /ca HTTP/1.1\r\n");
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	control_expect_answer(fd, 400, "ends before");
	control_bed_free(bed);
}

static void second_request_is_ignored(void **state)
{
	struct control_bed *bed = control_bed_new(false);

	(void)state;
	control_ask("PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{\"port\":5}"
		    "PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{\"port\":6}",
		    204, "");
	assert_int_equal(bed->port, 5);
	control_bed_free(bed);
}

static void slow_requests_end(void **state)
{
	struct control_bed *bed = control_bed_new(false);
	int silent = control_dial(), slow = control_dial();
	char byte;

	(void)state;
	say(slow, "GET /ca");
	control_expect_answer(slow, 408, "5 s");
	assert_int_equal(recv(silent, &byte, 1, 0), 0);
	close(silent);
	control_bed_free(bed);
}

static void oldest_waiting_makes_room(void **state)
{
	struct control_bed *bed = control_bed_new(false);
	int fds[256], i;
	char byte;

	(void)state;
	for (i = 0; i < 256; i++)
		fds[i] = control_dial();
	control_ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404, "");
	assert_int_equal(recv(fds[0], &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(recv(fds[255], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	for (i = 0; i < 256; i++)
		close(fds[i]);
	control_bed_free(bed);
}

static void inside_is_refused(void **state)
{
	static const char *const addresses[] = {"127.0.0.1:39001", "[::1]:39001",
						HOME_IPV4 ":39001", "[" HOME_IPV6 "]:39001"};
	struct control_bed *bed = control_bed_new(false);
	char connect_text[128];
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < 4; i++) {
		fd = control_dial_from(home_netns, addresses[i]);
		say(fd,
		    "PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{\"port\":5}");
		control_expect_answer(fd, 403, "from the host");
	}
	fd = control_dial_from(home_netns, addresses[0]);
	(void)snprintf(connect_text, sizeof(connect_text),
		       "CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: %s\r\n\r\n", bed->target_text);
	say(fd, connect_text);
	control_expect_answer(fd, 403, "from the host");
	assert_int_equal(bed->changed, 0);
	/* From the host, IPv6 works as well. */
	fd = control_dial_from(far_netns, addresses[3]);
	say(fd, "PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{\"port\":5}");
	control_expect_answer(fd, 204, "");
	assert_int_equal(bed->port, 5);
	control_bed_free(bed);
}

/* Asks from "far" with the source address @from. */
static void ask_from(const char *from, const char *to, const char *request, int status,
		     const char *contains)
{
	struct endpoint source, address;
	int fd;

	assert_int_equal(endpoint_parse(from, &source), 0);
	assert_int_equal(endpoint_parse(to, &address), 0);
	fd = socket_in(far_netns, address.address.ss_family);
	assert_int_equal(bind(fd, (struct sockaddr *)&source.address, endpoint_size(&source)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address.address, endpoint_size(&address)),
			 0);
	say(fd, request);
	control_expect_answer(fd, status, contains);
}

/* The application's neighbours on the network get 403 for all three requests. */
static void neighbours_are_refused(void **state)
{
	static const char *const requests[] = {
		"PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{\"port\":5}",
		"GET /ca HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: 127.0.0.1:1\r\n\r\n",
	};
	static const int want[] = {204, 404, 400};
	struct control_bed *bed = control_bed_new(false);
	size_t i;

	(void)state;
	enter_netns(far_netns);
	add_address("far0", "10.9.0.7", 24);
	add_address("far0", CONTROL_ALLOWED, 24);
	add_address("far0", "fd00:9::7", 64);
	enter_netns(home_netns);
	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		ask_from("10.9.0.7:0", HOME_IPV4 ":39001", requests[i], 403, "--control-allow");
		ask_from("[fd00:9::7]:0", "[" HOME_IPV6 "]:39001", requests[i], 403,
			 "--control-allow");
		assert_int_equal(bed->changed, 0);
	}
	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		ask_from(CONTROL_ALLOWED ":0", HOME_IPV4 ":39001", requests[i], want[i], "");
		ask_from(FAR_IPV4 ":0", HOME_IPV4 ":39001", requests[i], want[i], "");
		ask_from("[" FAR_IPV6 "]:0", "[" HOME_IPV6 "]:39001", requests[i], want[i], "");
	}
	control_bed_free(bed);
}

static void *put_often(void *context)
{
	int i, port = *(int *)context;
	char body[128];

	for (i = 0; i < 50; i++) {
		(void)snprintf(body, sizeof(body),
			       "{\"port\":%d,\"dns\":{\"allowHostnames\":[\"n%d\"]}}", port, port);
		control_put(body, 204, "");
	}
	return NULL;
}

static void concurrent_puts_stay_consistent(void **state)
{
	struct control_bed *bed = control_bed_new(false);
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
		if (policy_allows(bed->policy, name)) {
			assert_int_equal(bed->port, ports[i]);
			allowed++;
		}
	}
	assert_int_equal(allowed, 1);
	control_bed_free(bed);
}

static void taken_port_is_an_error(void **state)
{
	struct control_bed *bed = control_bed_new(false);
	struct control_config config = {.proxy = bed->proxy, .policy = bed->policy};
	struct control *control;

	(void)state;
	assert_int_equal(endpoint_parse("0.0.0.0:39001", &config.address), 0);
	assert_int_equal(control_new(&config, &control), -EADDRINUSE);
	control_bed_free(bed);
}

static void unix_gateway_has_no_port(void **state)
{
	struct control_bed *bed = control_bed_new(false);
	struct control_config config = {.proxy = bed->proxy, .policy = bed->policy};
	struct socket_address gateway;

	(void)state;
	assert_int_equal(socket_address_unix("/gw", &gateway), 0);
	proxy_set_gateway(bed->proxy, &gateway);
	control_free(bed->control);
	assert_int_equal(endpoint_parse(CONTROL_AT, &config.address), 0);
	assert_int_equal(control_new(&config, &bed->control), 0);
	control_put("{\"port\":1,\"internet\":{\"enabled\":false}}", 400, "unix socket");
	assert_true(policy_internet(bed->policy));
	control_put("{\"internet\":{\"enabled\":false}}", 204, "");
	assert_false(policy_internet(bed->policy));
	control_bed_free(bed);
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
		cmocka_unit_test(neighbours_are_refused),
		cmocka_unit_test(concurrent_puts_stay_consistent),
		cmocka_unit_test(taken_port_is_an_error),
		cmocka_unit_test(unix_gateway_has_no_port),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, make_namespaces, NULL);
}
