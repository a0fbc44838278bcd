// SPDX-License-Identifier: Apache-2.0
/* The proxy's tunnels: hints, answers, failures and changes of the gateway. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/address.h"
#include "lib/log.h"
#include "lib/socket_address.h"
#include "proxy/proxy.h"
#include "support/peer.h"
#include "support/proxy_bed.h"

static void test_tunnel(void **state)
{
	struct proxy_bed *bed = proxy_bed_new(&proxy_bed_defaults);
	struct proxy_counters counters;
	int client, tunnel;

	(void)state;
	/* A server-first protocol: the client says nothing. */
	client = dial(bed);
	tunnel = tunnel_accept(bed, client, "");
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\nhello");
	expect_bytes(client, "hello");
	exchange(client, tunnel);
	/* The client speaks first. The answer comes byte by byte, after an interim one. */
	client = dial(bed);
	say(client, "peeked");
	tunnel = tunnel_accept(bed, client, "");
	{
		static const char answer[] =
			"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n";
		size_t i;

		for (i = 0; i < sizeof(answer) - 1; i++)
			put(tunnel, answer + i, 1);
	}
	expect_bytes(tunnel, "peeked");
	exchange(client, tunnel);
	/* The client closes its half before the answer. */
	client = dial(bed);
	say(client, "all");
	shutdown(client, SHUT_WR);
	tunnel = tunnel_accept(bed, client, "");
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\n");
	expect_bytes(tunnel, "all");
	expect_end(tunnel);
	close(tunnel);
	expect_end(client);
	close(client);
	proxy_stop(bed->proxy, 5000);
	proxy_counters(bed->proxy, &counters);
	assert_int_equal(counters.accepted, 3);
	assert_int_equal(counters.relayed, 3);
	assert_int_equal(counters.bytes_sent, 3 + 6 + 3 + 3);
	assert_int_equal(counters.bytes_received, 5 + 2 * 10);
	assert_int_equal(bed->owned, 3);
	proxy_bed_free(bed, 3);
}

static size_t hello_make(uint8_t hello[128])
{
	static const uint8_t start[] = {22, 3, 1, 0, 63, 1, 0, 0, 59, 3, 3};
	static const uint8_t end[] = {0, 0,  2, 0x13, 1, 1,   0,   0,	16,  0,	  0,   0,  12,
				      0, 10, 0, 0,    7, 'a', '.', 't', 'e', 's', 't', '1'};

	memset(hello, 0, 128);
	memcpy(hello, start, sizeof(start));
	memcpy(hello + 43, end, sizeof(end));
	return 43 + sizeof(end);
}

static void test_sni(void **state)
{
	struct proxy_bed *bed = proxy_bed_new(&proxy_bed_defaults);
	uint8_t hello[128], echo[128];
	size_t size = hello_make(hello);
	int client, tunnel;

	(void)state;
	client = dial(bed);
	put(client, hello, 20);
	put(client, hello + 20, size - 20);
	tunnel = tunnel_accept(bed, client, "X-Tls-Sni: a.test1\r\n");
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\n");
	assert_int_equal(recv(tunnel, echo, size, MSG_WAITALL), size);
	assert_memory_equal(echo, hello, size);
	exchange(client, tunnel);
	/* The wait for the rest of a ClientHello is bounded. */
	client = dial(bed);
	put(client, hello, size - 1);
	tunnel = tunnel_accept(bed, client, "");
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\n");
	assert_int_equal(recv(tunnel, echo, size - 1, MSG_WAITALL), size - 1);
	exchange(client, tunnel);
	/* A name with a line end is no hint. */
	memcpy(hello + size - 7, "a\r\nX: y", 7);
	client = dial(bed);
	put(client, hello, size);
	tunnel = tunnel_accept(bed, client, "");
	close(tunnel);
	expect_reset(client);
	proxy_bed_free(bed, 3);
}

/* Whether CONNECT comes within @ms. */
static bool asked_within(int tunnel, int ms)
{
	struct pollfd wait = {.fd = tunnel, .events = POLLIN};

	return poll(&wait, 1, ms) == 1;
}

/* Opens a connection whose client is silent for at least @ms. Returns the gateway's end. */
static int dial_silent(const struct proxy_bed *bed, int *ret_client, int ms, bool *ret_asked)
{
	int tunnel;

	*ret_client = dial(bed);
	tunnel = accept(bed->gateway, NULL, NULL);
	assert_true(tunnel >= 0);
	*ret_asked = asked_within(tunnel, ms);
	return tunnel;
}

static void expect_request(int tunnel, bool named)
{
	char request[1024] = "";
	size_t size = 0;

	while (!strstr(request, "\r\n\r\n")) {
		ssize_t got = recv(tunnel, request + size, sizeof(request) - 1 - size, 0);

		assert_true(got > 0);
		size += (size_t)got;
	}
	assert_int_equal(strstr(request, "X-Tls-Sni: a.test1\r\n") != NULL, named);
}

/* One TLS client of a port is seen, so the proxy waits for the next one. A server that speaks first
 * is seen, so it does not wait any more. */
static void test_first_speaker(void **state)
{
	struct proxy_config config = proxy_bed_defaults;
	struct proxy_bed *bed;
	uint8_t hello[128];
	size_t size = hello_make(hello);
	int client, tunnel, i;
	bool asked;

	(void)state;
	config.client_first_ms = 1000;
	bed = proxy_bed_new(&config);
	for (i = 0; i < 4; i++) {
		tunnel = dial_silent(bed, &client, 200, &asked);
		/* The first is asked for at once. So is the last, behind a server that spoke. */
		assert_int_equal(asked, i == 0 || i == 3);
		if (i == 1)
			put(client, hello, size);
		expect_request(tunnel, i == 1);
		say(tunnel, "HTTP/1.1 200 OK\r\n\r\n");
		if (i == 0) {
			put(client, hello, size);
			assert_int_equal(recv(tunnel, hello, size, MSG_WAITALL), size);
		} else if (i == 1) {
			assert_int_equal(recv(tunnel, hello, size, MSG_WAITALL), size);
		} else {
			say(tunnel, "220 hello");
			expect_bytes(client, "220 hello");
		}
		exchange(client, tunnel);
	}
	proxy_bed_free(bed, 4);
}

static void refused(struct proxy_bed *bed, const char *answer)
{
	int client = dial(bed), tunnel = tunnel_accept(bed, client, "");

	say(tunnel, answer);
	shutdown(tunnel, SHUT_WR);
	expect_reset(client);
	close(tunnel);
}

static void test_refusals(void **state)
{
	struct proxy_bed *bed = proxy_bed_new(&proxy_bed_defaults);
	struct proxy_counters counters;

	(void)state;
	refused(bed, "HTTP/1.1 400 Bad Request\r\n\r\n");
	refused(bed, "HTTP/1.1 500 Internal Server Error\r\n\r\n");
	refused(bed, "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n");
	refused(bed, "SSH-2.0-x\r\n");
	refused(bed, "HTTP/1.1 200 OK\r\n");
	refused(bed, "");
	proxy_stop(bed->proxy, 5000);
	proxy_counters(bed->proxy, &counters);
	assert_int_equal(counters.gateway_refusals, 3);
	assert_int_equal(counters.gateway_errors, 3);
	assert_int_equal(counters.relayed, 0);
	proxy_bed_free(bed, 6);
}

static void test_gateway_down_and_slow(void **state)
{
	struct proxy_config config = proxy_bed_defaults;
	struct proxy_bed *bed;
	struct socket_address gateway = {0};
	struct proxy_counters counters;
	struct endpoint endpoint;
	int client, tunnel, gone, other;

	(void)state;
	config.answer_ms = 50;
	bed = proxy_bed_new(&config);
	client = dial(bed);
	tunnel = tunnel_accept(bed, client, "");
	expect_reset(client);
	close(tunnel);
	gone = listen_on(&endpoint);
	close(gone);
	gateway.address = endpoint.address;
	gateway.size = endpoint_size(&endpoint);
	proxy_set_gateway(bed->proxy, &gateway);
	client = dial(bed);
	expect_reset(client);
	proxy_counters(bed->proxy, &counters);
	assert_int_equal(counters.gateway_errors, 2);
	/* There is a gateway again. */
	other = listen_on(&endpoint);
	gateway.address = endpoint.address;
	proxy_set_gateway(bed->proxy, &gateway);
	client = dial(bed);
	tunnel = accept(other, NULL, NULL);
	expect_bytes(tunnel, "CONNECT ");
	close(client);
	close(tunnel);
	close(other);
	proxy_bed_free(bed, 3);
}

/* The gateway moves while a client is still peeked at. The new one gets the CONNECT. */
static void test_gateway_moves(void **state)
{
	struct proxy_config config = proxy_bed_defaults;
	struct proxy_bed *bed;
	struct socket_address gateway = {.size = sizeof(struct sockaddr_in)};
	struct endpoint endpoint;
	int client, old, tunnel, other = listen_on(&endpoint);

	(void)state;
	config.peek_ms = 60000;
	bed = proxy_bed_new(&config);
	client = dial(bed);
	old = accept(bed->gateway, NULL, NULL);
	gateway.address = endpoint.address;
	proxy_set_gateway(bed->proxy, &gateway);
	say(client, "x");
	expect_end(old);
	close(old);
	tunnel = accept(other, NULL, NULL);
	expect_bytes(tunnel, "CONNECT ");
	close(tunnel);
	expect_reset(client);
	close(other);
	proxy_bed_free(bed, 1);
}

/* A gateway that limits its wait for a request hangs up during the peek. It is dialed again. */
static void test_gateway_hangs_up(void **state)
{
	struct proxy_config config = proxy_bed_defaults;
	struct proxy_bed *bed;
	int client, tunnel;

	(void)state;
	config.peek_ms = 60000;
	bed = proxy_bed_new(&config);
	client = dial(bed);
	tunnel = accept(bed->gateway, NULL, NULL);
	say(tunnel, "HTTP/1.1 408 Request Timeout\r\n\r\n");
	shutdown(tunnel, SHUT_WR);
	/* The proxy has nothing to say to it. */
	assert_false(asked_within(tunnel, 50));
	say(client, "x");
	expect_reset(tunnel);
	tunnel = tunnel_accept(bed, client, "");
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\n");
	expect_bytes(tunnel, "x");
	exchange(client, tunnel);
	proxy_bed_free(bed, 1);
}

/* A connection to the awaited destination is reset and reported, as is every one in a loop. */
static void test_echo(void **state)
{
	struct proxy_bed *bed = proxy_bed_new(&proxy_bed_defaults);
	struct sockaddr_in other = *(struct sockaddr_in *)&bed->listener.address;
	struct pollfd wait = {.fd = proxy_echo_fd(bed->proxy), .events = POLLIN};
	int client;

	(void)state;
	other.sin_port ^= 1;
	proxy_await_echo(bed->proxy, &other);
	client = dial(bed);
	close(tunnel_accept(bed, client, ""));
	expect_reset(client);
	assert_int_equal(poll(&wait, 1, 0), 0);
	proxy_await_echo(bed->proxy, (struct sockaddr_in *)&bed->listener.address);
	expect_reset(dial(bed));
	assert_int_equal(poll(&wait, 1, 0), 1);
	proxy_await_echo(bed->proxy, &other);
	assert_int_equal(poll(&wait, 1, 0), 0);
	proxy_set_looping(bed->proxy, true);
	expect_reset(dial(bed));
	proxy_set_looping(bed->proxy, false);
	client = dial(bed);
	close(tunnel_accept(bed, client, ""));
	expect_reset(client);
	proxy_bed_free(bed, 4);
}

/* Only the first connection is exempt. */
static bool owns_first(void *context, const struct flow *flow)
{
	assert_int_equal(flow->destination.ss_family, AF_INET);
	return (*(atomic_int *)context)++ == 0;
}

/* An exempt connection is carried straight to its destination. Here that is the listener, where it
 * arrives as another one's. */
static void test_exempt(void **state)
{
	struct proxy_config config = proxy_bed_defaults;
	struct proxy_bed *bed;
	atomic_int asked = 0;
	int client, tunnel;

	(void)state;
	config.exemption = (struct proxy_exemption) {owns_first, &asked, NULL};
	bed = proxy_bed_new(&config);
	client = dial(bed);
	tunnel = accept(bed->gateway, NULL, NULL);
	expect_request(tunnel, false);
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\n");
	exchange(client, tunnel);
	assert_int_equal(asked, 2);
	/* The echo of somebody exempt is no loop. It is reset all the same. */
	asked = 0;
	proxy_await_echo(bed->proxy, (struct sockaddr_in *)&bed->listener.address);
	expect_reset(dial(bed));
	assert_int_equal(asked, 1);
	assert_false(asked_within(proxy_echo_fd(bed->proxy), 0));
	proxy_bed_free(bed, 3);
}

static void test_client_gives_up(void **state)
{
	struct proxy_bed *bed = proxy_bed_new(&proxy_bed_defaults);
	struct linger linger = {.l_onoff = 1};
	int client = dial(bed), tunnel = tunnel_accept(bed, client, "");

	(void)state;
	setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(client);
	expect_end(tunnel);
	close(tunnel);
	proxy_bed_free(bed, 1);
}

static void test_reset_passes(void **state)
{
	struct proxy_bed *bed = proxy_bed_new(&proxy_bed_defaults);
	struct linger linger = {.l_onoff = 1};
	int side;

	(void)state;
	for (side = 0; side < 2; side++) {
		int client = dial(bed), tunnel = tunnel_accept(bed, client, "");

		say(tunnel, "HTTP/1.1 200 OK\r\n\r\nhello");
		expect_bytes(client, "hello");
		setsockopt(side ? client : tunnel, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		close(side ? client : tunnel);
		expect_reset(side ? tunnel : client);
	}
	proxy_bed_free(bed, 2);
}

/* An urgent byte passes in its place, in both directions. */
static void test_urgent(void **state)
{
	struct proxy_bed *bed = proxy_bed_new(&proxy_bed_defaults);
	int client = dial(bed), tunnel = tunnel_accept(bed, client, "");

	(void)state;
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\nhello");
	expect_bytes(client, "hello");
	assert_int_equal(send(client, "urgent", 6, MSG_OOB), 6);
	say(client, " and more");
	expect_bytes(tunnel, "urgent and more");
	assert_int_equal(send(tunnel, "urgent", 6, MSG_OOB), 6);
	say(tunnel, " and more");
	expect_bytes(client, "urgent and more");
	exchange(client, tunnel);
	proxy_bed_free(bed, 1);
}

static void test_flow_updates(void **state)
{
	struct proxy_bed *bed = proxy_bed_new(&proxy_bed_defaults);
	int client = dial(bed), tunnel = tunnel_accept(bed, client, "");
	int rounds;

	(void)state;
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\nhello");
	expect_bytes(client, "hello");
	for (rounds = 0; rounds < 50 && bed->updated == 0; rounds++) {
		struct pollfd wait = {.fd = client, .events = POLLIN};

		assert_int_equal(poll(&wait, 1, 100), 0);
	}
	assert_int_equal(bed->updated, 1);
	exchange(client, tunnel);
	proxy_bed_free(bed, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tunnel),
		cmocka_unit_test(test_sni),
		cmocka_unit_test(test_first_speaker),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_gateway_moves),
		cmocka_unit_test(test_gateway_down_and_slow),
		cmocka_unit_test(test_gateway_hangs_up),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_exempt),
		cmocka_unit_test(test_client_gives_up),
		cmocka_unit_test(test_reset_passes),
		cmocka_unit_test(test_urgent),
		cmocka_unit_test(test_flow_updates),
	};

	if (geteuid() != 0) {
		(void)puts("1..0 # SKIP transparent sockets need CAP_NET_ADMIN");
		return 0;
	}
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
