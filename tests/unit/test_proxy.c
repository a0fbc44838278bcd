// SPDX-License-Identifier: Apache-2.0
/*
 * The proxy with plain clients that connect to its listener, which then is the destination, and a
 * gateway that the test itself plays, step by step. Needs CAP_NET_ADMIN.
 */
#include <errno.h>
#include <net/if.h>
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
#include <sys/resource.h>
#include <unistd.h>
#include <linux/tcp.h>

#include <cmocka.h>

#include "lib/address.h"
#include "lib/log.h"
#include "lib/socket_address.h"
#include "proxy/proxy.h"

struct fixture {
	struct proxy *proxy;
	int gateway; /* listens */
	struct endpoint listener;
	char destination[ADDRESS_TEXT_MAX];
	atomic_int owned, closed, closed_updated, updated;
	atomic_ullong sent, received;
};

static int own_socket(void *context, int fd, const struct sockaddr *destination)
{
	(void)destination;
	assert_true(fd >= 0);
	(void)atomic_fetch_add(&((struct fixture *)context)->owned, 1);
	return 0;
}

static void flow_update(void *context, const struct flow *flow)
{
	assert_true(flow->updated);
	assert_true(flow->start > 0);
	(void)atomic_fetch_add(&((struct fixture *)context)->updated, 1);
}

static void flow_close(void *context, const struct flow *flow)
{
	struct fixture *fixture = context;

	assert_int_equal(flow->source.ss_family, flow->destination.ss_family);
	(void)atomic_fetch_add(&fixture->sent, flow->sent);
	(void)atomic_fetch_add(&fixture->received, flow->received);
	(void)atomic_fetch_add(&fixture->closed, 1);
	(void)atomic_fetch_add(&fixture->closed_updated, flow->updated);
}

static int listen_on(struct endpoint *ret_endpoint)
{
	socklen_t size = sizeof(ret_endpoint->address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(endpoint_parse("127.0.0.1:0", ret_endpoint), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ret_endpoint->address,
			      endpoint_size(ret_endpoint)),
			 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ret_endpoint->address, &size), 0);
	return fd;
}

static const struct proxy_config defaults = {
	.threads = 2,
	.max_connections = 100,
	.peek_ms = 20,
	.connect_ms = 2000,
	.answer_ms = 2000,
	.sni_hint = true,
};

static struct fixture *fixture_new(const struct proxy_config *config)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct proxy_config own = *config;
	struct endpoint gateway;
	socklen_t size = sizeof(fixture->listener.address);

	fixture->gateway = listen_on(&gateway);
	own.gateway.address = gateway.address;
	own.gateway.size = endpoint_size(&gateway);
	own.announcer = (struct dial_announcer) {own_socket, fixture};
	own.hooks = (struct proxy_hooks) {fixture, flow_update, flow_close};
	assert_int_equal(proxy_new(&own, &fixture->proxy), 0);
	assert_int_equal(proxy_start(fixture->proxy), 0);
	assert_int_equal(getsockname(proxy_listener(fixture->proxy, AF_INET, SOCK_STREAM, false),
				     (struct sockaddr *)&fixture->listener.address, &size),
			 0);
	endpoint_format((struct sockaddr *)&fixture->listener.address, fixture->destination);
	return fixture;
}

static void fixture_free(struct fixture *fixture, int connections)
{
	struct proxy_counters counters;

	proxy_stop(fixture->proxy, 5000);
	proxy_counters(fixture->proxy, &counters);
	assert_int_equal(counters.connections, 0);
	assert_int_equal(fixture->closed, connections);
	/* Of a young flow nobody was told. */
	assert_int_equal(fixture->closed_updated > 0, fixture->updated > 0);
	assert_int_equal(counters.bytes_sent, fixture->sent);
	assert_int_equal(counters.bytes_received, fixture->received);
	proxy_free(fixture->proxy);
	close(fixture->gateway);
	free(fixture);
}

static int dial(const struct fixture *fixture)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&fixture->listener.address,
				 sizeof(struct sockaddr_in)),
			 0);
	return fd;
}

static void put(int fd, const void *data, size_t size)
{
	assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

static void say(int fd, const char *text)
{
	put(fd, text, strlen(text));
}

static void expect_bytes(int fd, const char *text)
{
	char buffer[1024] = {0};

	assert_int_equal(recv(fd, buffer, strlen(text), MSG_WAITALL), strlen(text));
	assert_string_equal(buffer, text);
}

static void expect_end(int fd)
{
	assert_int_equal(recv(fd, &(char) {0}, 1, 0), 0);
}

static void expect_reset(int fd)
{
	assert_int_equal(recv(fd, &(char) {0}, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
}

/* Segments that have arrived, the SYN among them. */
static uint32_t segments_in(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	return info.tcpi_segs_in;
}

/* Accepts a tunnel and reads its request, which must be exactly the contract's, and come with the
 * end of TCP's handshake. */
static int tunnel_accept(const struct fixture *fixture, int client, const char *hint)
{
	char source[ADDRESS_TEXT_MAX], want[1024];
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	int fd = accept(fixture->gateway, NULL, NULL);

	assert_true(fd >= 0);
	assert_int_equal(getsockname(client, (struct sockaddr *)&address, &size), 0);
	endpoint_format((struct sockaddr *)&address, source);
	(void)snprintf(want, sizeof(want),
		       "CONNECT %s HTTP/1.1\r\nHost: %s\r\n"
		       "User-Agent: proxy-everything/0.0.1/%s\r\nConnection: close\r\n"
		       "X-Forwarded-For: %s\r\nX-Proto: tcp\r\n%s\r\n",
		       fixture->destination, fixture->destination, source, source, hint);
	expect_bytes(fd, want);
	assert_int_equal(segments_in(fd), 2);
	return fd;
}

/* A whole exchange with both half-closes. */
static void exchange(int client, int tunnel)
{
	say(client, "ask");
	expect_bytes(tunnel, "ask");
	say(tunnel, "answer");
	expect_bytes(client, "answer");
	shutdown(client, SHUT_WR);
	expect_end(tunnel);
	say(tunnel, "late");
	close(tunnel);
	expect_bytes(client, "late");
	expect_end(client);
	close(client);
}

static void test_tunnel(void **state)
{
	struct fixture *fixture = fixture_new(&defaults);
	struct proxy_counters counters;
	int client, tunnel;

	(void)state;
	/* A server-first protocol: the client says nothing. */
	client = dial(fixture);
	tunnel = tunnel_accept(fixture, client, "");
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\nhello");
	expect_bytes(client, "hello");
	exchange(client, tunnel);
	/* Its first byte decides; an answer byte by byte, interim ones first. */
	client = dial(fixture);
	say(client, "peeked");
	tunnel = tunnel_accept(fixture, client, "");
	{
		static const char answer[] =
			"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n";
		size_t i;

		for (i = 0; i < sizeof(answer) - 1; i++)
			put(tunnel, answer + i, 1);
	}
	expect_bytes(tunnel, "peeked");
	exchange(client, tunnel);
	/* Half-close before the answer. */
	client = dial(fixture);
	say(client, "all");
	shutdown(client, SHUT_WR);
	tunnel = tunnel_accept(fixture, client, "");
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\n");
	expect_bytes(tunnel, "all");
	expect_end(tunnel);
	close(tunnel);
	expect_end(client);
	close(client);
	proxy_stop(fixture->proxy, 5000);
	proxy_counters(fixture->proxy, &counters);
	assert_int_equal(counters.accepted, 3);
	assert_int_equal(counters.relayed, 3);
	assert_int_equal(counters.bytes_sent, 3 + 6 + 3 + 3);
	assert_int_equal(counters.bytes_received, 5 + 2 * 10);
	assert_int_equal(fixture->owned, 3);
	fixture_free(fixture, 3);
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
	struct fixture *fixture = fixture_new(&defaults);
	uint8_t hello[128], echo[128];
	size_t size = hello_make(hello);
	int client, tunnel;

	(void)state;
	client = dial(fixture);
	put(client, hello, 20);
	put(client, hello + 20, size - 20);
	tunnel = tunnel_accept(fixture, client, "X-Tls-Sni: a.test1\r\n");
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\n");
	assert_int_equal(recv(tunnel, echo, size, MSG_WAITALL), size);
	assert_memory_equal(echo, hello, size);
	exchange(client, tunnel);
	/* An unfinished one: the wait for the rest is bounded. */
	client = dial(fixture);
	put(client, hello, size - 1);
	tunnel = tunnel_accept(fixture, client, "");
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\n");
	assert_int_equal(recv(tunnel, echo, size - 1, MSG_WAITALL), size - 1);
	exchange(client, tunnel);
	/* Injection: not a name, no hint. */
	memcpy(hello + size - 7, "a\r\nX: y", 7);
	client = dial(fixture);
	put(client, hello, size);
	tunnel = tunnel_accept(fixture, client, "");
	close(tunnel);
	expect_reset(client);
	fixture_free(fixture, 3);
}

static void refused(struct fixture *fixture, const char *answer)
{
	int client = dial(fixture), tunnel = tunnel_accept(fixture, client, "");

	say(tunnel, answer);
	shutdown(tunnel, SHUT_WR);
	expect_reset(client);
	close(tunnel);
}

static void test_refusals(void **state)
{
	struct fixture *fixture = fixture_new(&defaults);
	struct proxy_counters counters;

	(void)state;
	refused(fixture, "HTTP/1.1 400 Bad Request\r\n\r\n");
	refused(fixture, "HTTP/1.1 500 Internal Server Error\r\n\r\n");
	refused(fixture, "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n");
	refused(fixture, "SSH-2.0-x\r\n");
	refused(fixture, "HTTP/1.1 200 OK\r\n");
	refused(fixture, "");
	proxy_stop(fixture->proxy, 5000);
	proxy_counters(fixture->proxy, &counters);
	assert_int_equal(counters.gateway_refusals, 3);
	assert_int_equal(counters.gateway_errors, 3);
	assert_int_equal(counters.relayed, 0);
	fixture_free(fixture, 6);
}

static void test_gateway_down_and_slow(void **state)
{
	struct proxy_config config = defaults;
	struct fixture *fixture;
	struct socket_address gateway = {0};
	struct proxy_counters counters;
	struct endpoint endpoint;
	int client, tunnel, gone, other;

	(void)state;
	config.answer_ms = 50;
	fixture = fixture_new(&config);
	client = dial(fixture);
	tunnel = tunnel_accept(fixture, client, "");
	expect_reset(client);
	close(tunnel);
	gone = listen_on(&endpoint);
	close(gone);
	gateway.address = endpoint.address;
	gateway.size = endpoint_size(&endpoint);
	proxy_set_gateway(fixture->proxy, &gateway);
	client = dial(fixture);
	expect_reset(client);
	proxy_counters(fixture->proxy, &counters);
	assert_int_equal(counters.gateway_errors, 2);
	/* And back, to one more. */
	other = listen_on(&endpoint);
	gateway.address = endpoint.address;
	proxy_set_gateway(fixture->proxy, &gateway);
	client = dial(fixture);
	tunnel = accept(other, NULL, NULL);
	expect_bytes(tunnel, "CONNECT ");
	close(client);
	close(tunnel);
	close(other);
	fixture_free(fixture, 3);
}

/* The gateway moves while a client is still peeked at: the new one gets the CONNECT. */
static void test_gateway_moves(void **state)
{
	struct proxy_config config = defaults;
	struct fixture *fixture;
	struct socket_address gateway = {.size = sizeof(struct sockaddr_in)};
	struct endpoint endpoint;
	int client, old, tunnel, other = listen_on(&endpoint);

	(void)state;
	config.peek_ms = 60000;
	fixture = fixture_new(&config);
	client = dial(fixture);
	old = accept(fixture->gateway, NULL, NULL);
	gateway.address = endpoint.address;
	proxy_set_gateway(fixture->proxy, &gateway);
	say(client, "x");
	expect_end(old);
	close(old);
	tunnel = accept(other, NULL, NULL);
	expect_bytes(tunnel, "CONNECT ");
	close(tunnel);
	expect_reset(client);
	close(other);
	fixture_free(fixture, 1);
}

static void test_client_gives_up(void **state)
{
	struct fixture *fixture = fixture_new(&defaults);
	struct linger linger = {.l_onoff = 1};
	int client = dial(fixture), tunnel = tunnel_accept(fixture, client, "");

	(void)state;
	setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(client);
	expect_end(tunnel);
	close(tunnel);
	fixture_free(fixture, 1);
}

static void test_reset_passes(void **state)
{
	struct fixture *fixture = fixture_new(&defaults);
	struct linger linger = {.l_onoff = 1};
	int side;

	(void)state;
	for (side = 0; side < 2; side++) {
		int client = dial(fixture), tunnel = tunnel_accept(fixture, client, "");

		say(tunnel, "HTTP/1.1 200 OK\r\n\r\nhello");
		expect_bytes(client, "hello");
		setsockopt(side ? client : tunnel, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		close(side ? client : tunnel);
		expect_reset(side ? tunnel : client);
	}
	fixture_free(fixture, 2);
}

static void test_limit(void **state)
{
	struct proxy_config config = defaults;
	struct fixture *fixture;
	struct proxy_counters counters;
	int client[2], tunnel[2], i;

	(void)state;
	config.max_connections = 2;
	fixture = fixture_new(&config);
	for (i = 0; i < 2; i++) {
		client[i] = dial(fixture);
		tunnel[i] = tunnel_accept(fixture, client[i], "");
		say(tunnel[i], "HTTP/1.1 200 OK\r\n\r\n");
	}
	expect_reset(dial(fixture));
	expect_reset(dial(fixture));
	proxy_counters(fixture->proxy, &counters);
	assert_int_equal(counters.refused_limit, 2);
	assert_int_equal(counters.connections, 2);
	for (i = 0; i < 2; i++)
		exchange(client[i], tunnel[i]);
	fixture_free(fixture, 4);
}

static void test_no_descriptors(void **state)
{
	struct fixture *fixture = fixture_new(&defaults);
	struct rlimit limit, low;
	int client = socket(AF_INET, SOCK_STREAM, 0), tunnel;
	struct proxy_counters counters;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = (rlim_t)client + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&fixture->listener.address,
				 sizeof(struct sockaddr_in)),
			 0);
	expect_reset(client);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	client = dial(fixture);
	tunnel = tunnel_accept(fixture, client, "");
	proxy_counters(fixture->proxy, &counters);
	assert_int_equal(counters.refused_limit, 1);
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\n");
	exchange(client, tunnel);
	fixture_free(fixture, 2);
}

static void *stop_thread(void *context)
{
	proxy_stop(((struct fixture *)context)->proxy, 60000);
	return NULL;
}

static void test_drain(void **state)
{
	struct fixture *fixture = fixture_new(&defaults);
	int client = dial(fixture), tunnel = tunnel_accept(fixture, client, ""), late;
	pthread_t thread;

	(void)state;
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\nhello");
	expect_bytes(client, "hello");
	assert_int_equal(pthread_create(&thread, NULL, stop_thread, fixture), 0);
	/* Until it has begun, new ones are still accepted. */
	do {
		struct pollfd wait = {.events = POLLIN};

		late = dial(fixture);
		wait.fd = late;
		(void)poll(&wait, 1, 200);
		if (recv(late, &(char) {0}, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET)
			break;
		close(late);
	} while (true);
	close(late);
	exchange(client, tunnel);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(proxy_listener(fixture->proxy, AF_INET, SOCK_STREAM, false), -ENOENT);
	proxy_free(fixture->proxy);
	close(fixture->gateway);
	free(fixture);
}

static void test_drain_ends(void **state)
{
	struct fixture *fixture = fixture_new(&defaults);
	int client = dial(fixture), tunnel = tunnel_accept(fixture, client, "");

	(void)state;
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\nhello");
	expect_bytes(client, "hello");
	proxy_stop(fixture->proxy, 30);
	expect_reset(client);
	expect_reset(tunnel);
	fixture_free(fixture, 1);
}

static void test_flow_updates(void **state)
{
	struct fixture *fixture = fixture_new(&defaults);
	int client = dial(fixture), tunnel = tunnel_accept(fixture, client, "");
	int rounds;

	(void)state;
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\nhello");
	expect_bytes(client, "hello");
	for (rounds = 0; rounds < 50 && fixture->updated == 0; rounds++) {
		struct pollfd wait = {.fd = client, .events = POLLIN};

		assert_int_equal(poll(&wait, 1, 100), 0);
	}
	assert_int_equal(fixture->updated, 1);
	exchange(client, tunnel);
	fixture_free(fixture, 1);
}

static void test_listeners(void **state)
{
	struct proxy_config config = defaults;
	char device[IFNAMSIZ];
	socklen_t size = sizeof(device);
	struct proxy *proxy;

	(void)state;
	config.threads = 0;
	assert_int_equal(proxy_new(&config, &proxy), -EINVAL);
	config.threads = 3;
	config.dns = true;
	config.ipv6 = true;
	assert_int_equal(proxy_new(&config, &proxy), 0);
	assert_true(proxy_listener(proxy, AF_INET, SOCK_STREAM, false) >= 0);
	assert_true(proxy_listener(proxy, AF_INET6, SOCK_STREAM, false) >= 0);
	assert_true(proxy_listener(proxy, AF_INET, SOCK_DGRAM, false) >= 0);
	assert_true(proxy_listener(proxy, AF_INET6, SOCK_DGRAM, false) >= 0);
	assert_int_equal(getsockopt(proxy_listener(proxy, AF_INET, SOCK_STREAM, true), SOL_SOCKET,
				    SO_BINDTODEVICE, device, &size),
			 0);
	assert_string_equal(device, "lo");
	size = sizeof(device);
	assert_int_equal(getsockopt(proxy_listener(proxy, AF_INET, SOCK_STREAM, false), SOL_SOCKET,
				    SO_BINDTODEVICE, device, &size),
			 0);
	assert_int_equal(size, 0);
	proxy_free(proxy);
	config.dns = config.ipv6 = false;
	assert_int_equal(proxy_new(&config, &proxy), 0);
	assert_int_equal(proxy_listener(proxy, AF_INET6, SOCK_STREAM, false), -ENOENT);
	assert_int_equal(proxy_listener(proxy, AF_INET, SOCK_DGRAM, false), -ENOENT);
	assert_int_equal(proxy_start(proxy), 0);
	proxy_free(proxy);
	proxy_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_tunnel),
		cmocka_unit_test(test_sni),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_gateway_moves),
		cmocka_unit_test(test_gateway_down_and_slow),
		cmocka_unit_test(test_client_gives_up),
		cmocka_unit_test(test_reset_passes),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_drain_ends),
		cmocka_unit_test(test_flow_updates),
	};

	if (geteuid() != 0) {
		(void)puts("1..0 # SKIP transparent sockets need CAP_NET_ADMIN");
		return 0;
	}
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
