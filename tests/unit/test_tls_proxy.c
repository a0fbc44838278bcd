// SPDX-License-Identifier: Apache-2.0
/*
 * TLS interception by the whole proxy. An OpenSSL client connects to its listener, which becomes
 * the destination (127.0.0.1). The test plays the gateway. Needs CAP_NET_ADMIN.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/address.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/util.h"
#include "proxy/proxy.h"
#include "support/tls_client.h"

static struct tls_authority *authority;
static SSL_CTX *trusting;

struct fixture {
	struct proxy *proxy;
	struct endpoint listener;
	int gateway; /* listens */
};

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

static struct fixture *fixture_for(enum tunnel_protocol protocol, unsigned int peek_ms)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct proxy_config config = {
		.threads = 2,
		.max_connections = 100,
		.peek_ms = peek_ms,
		.client_first_ms = 10 * peek_ms,
		.connect_ms = 2000,
		.answer_ms = 2000,
		.sni_hint = true,
		.gateway_protocol = protocol,
		.tls = authority,
	};
	struct endpoint gateway;
	socklen_t size = sizeof(fixture->listener.address);

	fixture->gateway = listen_on(&gateway);
	config.gateway.address = gateway.address;
	config.gateway.size = endpoint_size(&gateway);
	assert_int_equal(proxy_new(&config, &fixture->proxy), 0);
	assert_int_equal(proxy_start(fixture->proxy), 0);
	assert_int_equal(getsockname(proxy_listener(fixture->proxy, AF_INET, SOCK_STREAM, false),
				     (struct sockaddr *)&fixture->listener.address, &size),
			 0);
	return fixture;
}

/* A gateway's 200 asks for plaintext. */
static struct fixture *fixture_new(unsigned int peek_ms)
{
	return fixture_for(TUNNEL_PROTOCOL_WORKERD, peek_ms);
}

static void fixture_free(struct fixture *fixture, unsigned int handshakes, unsigned int failures)
{
	struct proxy_counters counters;

	proxy_stop(fixture->proxy, 5000);
	proxy_counters(fixture->proxy, &counters);
	assert_int_equal(counters.connections, 0);
	assert_int_equal(counters.tls_handshakes, handshakes);
	assert_int_equal(counters.tls_failures, failures);
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

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void expect_bytes(int fd, const char *text)
{
	char buffer[256] = {0};

	assert_int_equal(recv(fd, buffer, strlen(text), MSG_WAITALL), strlen(text));
	assert_string_equal(buffer, text);
}

static void expect_end(int fd)
{
	assert_int_equal(recv(fd, &(char) {0}, 1, 0), 0);
}

/* Accepts a tunnel. Its request must have the line @hint ("X-Tls-Sni: ..."). NULL: no hint at all.
 */
static int tunnel_accept(const struct fixture *fixture, const char *hint, const char *answer)
{
	char head[1024] = {0};
	size_t size = 0;
	int fd = accept(fixture->gateway, NULL, NULL);

	while (!strstr(head, "\r\n\r\n")) {
		assert_true(size < sizeof(head) - 1);
		assert_int_equal(recv(fd, head + size, 1, 0), 1);
		size++;
	}
	if (hint)
		assert_non_null(strstr(head, hint));
	else
		assert_null(strstr(head, "X-Tls-Sni"));
	assert_null(strstr(head, "X-Hostname"));
	say(fd, answer);
	return fd;
}

struct connecting {
	pthread_t thread;
	SSL *ssl;
	int result;
};

static void *connect_run(void *context)
{
	struct connecting *connecting = context;

	connecting->result = SSL_connect(connecting->ssl);
	return NULL;
}

/* Runs in a thread, because the gateway's part comes in between. */
static void connect_start(struct connecting *connecting, SSL *ssl)
{
	connecting->ssl = ssl;
	assert_int_equal(pthread_create(&connecting->thread, NULL, connect_run, connecting), 0);
}

/* After the handshake: exchanges bytes, and closes both ends. */
static void exchange(struct connecting *connecting, int tunnel)
{
	SSL *ssl = connecting->ssl;
	int fd = SSL_get_fd(ssl);

	assert_int_equal(pthread_join(connecting->thread, NULL), 0);
	assert_int_equal(connecting->result, 1);
	tls_say(ssl, "ask");
	expect_bytes(tunnel, "ask");
	say(tunnel, "answer");
	tls_expect_bytes(ssl, "answer");
	assert_int_equal(SSL_shutdown(ssl), 0);
	expect_end(tunnel);
	say(tunnel, "late");
	close(tunnel);
	tls_expect_bytes(ssl, "late");
	tls_expect_end(ssl);
	SSL_free(ssl);
	close(fd);
}

#define ANSWER_200 "HTTP/1.1 200 OK\r\n\r\n"

static void test_terminated(void **state)
{
	struct fixture *fixture = fixture_new(2000);
	struct connecting connecting;
	int tunnel;

	(void)state;
	connect_start(&connecting,
		      tls_client_new(trusting, dial(fixture), "www.example.com", NULL));
	tunnel = tunnel_accept(fixture, "\r\nX-Tls-Sni: www.example.com\r\n", ANSWER_200);
	exchange(&connecting, tunnel);
	/* Without a server name the leaf has the destination's address. */
	connect_start(&connecting, tls_client_new(trusting, dial(fixture), NULL, "127.0.0.1"));
	tunnel = tunnel_accept(fixture, NULL, ANSWER_200);
	exchange(&connecting, tunnel);
	fixture_free(fixture, 2, 0);
}

/* The client's ClientHello arrives behind @answer as it is. */
static void expect_raw(const struct fixture *fixture, const char *answer)
{
	int client = dial(fixture), tunnel;
	struct connecting connecting;
	uint8_t start[6];

	connect_start(&connecting, tls_client_new(trusting, client, "a.example", NULL));
	tunnel = tunnel_accept(fixture, "\r\nX-Tls-Sni: a.example\r\n", answer);
	assert_int_equal(recv(tunnel, start, sizeof(start), MSG_WAITALL), sizeof(start));
	assert_memory_equal(start, "\x16\x03\x01", 3);
	assert_int_equal(start[5], 1);
	close(tunnel);
	pthread_join(connecting.thread, NULL);
	assert_true(connecting.result <= 0);
	SSL_free(connecting.ssl);
	close(client);
}

/* An ordinary proxy's 200 opens a tunnel: no byte is decrypted, unless it takes plaintext. */
static void test_connect_protocol(void **state)
{
	struct fixture *fixture = fixture_for(TUNNEL_PROTOCOL_CONNECT, 2000);
	struct connecting connecting;
	int tunnel;

	(void)state;
	expect_raw(fixture, ANSWER_200);
	expect_raw(fixture, "HTTP/1.1 200 Connection established\r\nProxy-Agent: a\r\n\r\n");
	expect_raw(fixture, "HTTP/1.1 202 Accepted\r\nX-Tls-Plaintext: accept\r\n\r\n");
	connect_start(&connecting,
		      tls_client_new(trusting, dial(fixture), "www.example.com", NULL));
	tunnel = tunnel_accept(fixture, "\r\nX-Tls-Sni: www.example.com\r\n",
			       "HTTP/1.1 200 OK\r\nX-Tls-Plaintext: accept\r\n\r\n");
	exchange(&connecting, tunnel);
	fixture_free(fixture, 1, 0);
}

/* The same proxy with workerd's protocol gets no byte, and the client a reset. */
static void test_doubtful_gateway(void **state)
{
	struct fixture *fixture = fixture_new(2000);
	int client = dial(fixture), tunnel;
	struct connecting connecting;

	(void)state;
	connect_start(&connecting, tls_client_new(trusting, client, "a.example", NULL));
	tunnel = tunnel_accept(fixture, "X-Tls-Sni", "HTTP/1.1 200 OK\r\nVia: 1.1 a\r\n\r\n");
	pthread_join(connecting.thread, NULL);
	assert_int_equal(SSL_get_error(connecting.ssl, connecting.result), SSL_ERROR_SYSCALL);
	expect_end(tunnel);
	SSL_free(connecting.ssl);
	close(client);
	close(tunnel);
	fixture_free(fixture, 0, 0);
}

/* After any other 2xx the client's bytes pass unchanged. */
static void test_other_answers_are_raw(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 202 Accepted\r\n\r\n",
		"HTTP/1.1 201 Created\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
	};
	struct fixture *fixture = fixture_new(2000);
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(answers); i++)
		expect_raw(fixture, answers[i]);
	fixture_free(fixture, 0, 0);
}

/* After 200 without a ClientHello bytes pass unchanged, also if the gateway speaks first. */
static void test_other_protocols(void **state)
{
	struct fixture *fixture = fixture_new(20);
	int client = dial(fixture), tunnel;

	(void)state;
	say(client, "GET / HTTP/1.1\r\n\r\n");
	tunnel = tunnel_accept(fixture, NULL, ANSWER_200);
	expect_bytes(tunnel, "GET / HTTP/1.1\r\n\r\n");
	say(tunnel, "answer");
	expect_bytes(client, "answer");
	close(client);
	expect_end(tunnel);
	close(tunnel);
	/* The gateway greets: with its answer, or later. */
	client = dial(fixture);
	tunnel = tunnel_accept(fixture, NULL, ANSWER_200 "220 hello\r\n");
	expect_bytes(client, "220 hello\r\n");
	say(client, "\x16\x03\x01 is no ClientHello now");
	expect_bytes(tunnel, "\x16\x03\x01 is no ClientHello now");
	close(client);
	close(tunnel);
	client = dial(fixture);
	tunnel = tunnel_accept(fixture, NULL, ANSWER_200);
	say(tunnel, "220 hello\r\n");
	expect_bytes(client, "220 hello\r\n");
	say(client, "HELO");
	expect_bytes(tunnel, "HELO");
	close(client);
	close(tunnel);
	/* Nobody greets. The client speaks late and without TLS, or ends without a byte. */
	client = dial(fixture);
	tunnel = tunnel_accept(fixture, NULL, ANSWER_200);
	say(client, "late");
	expect_bytes(tunnel, "late");
	close(client);
	expect_end(tunnel);
	close(tunnel);
	client = dial(fixture);
	tunnel = tunnel_accept(fixture, NULL, ANSWER_200);
	shutdown(client, SHUT_WR);
	expect_end(tunnel);
	say(tunnel, "bye");
	close(tunnel);
	expect_bytes(client, "bye");
	expect_end(client);
	close(client);
	fixture_free(fixture, 0, 0);
}

/* The ClientHello comes after the gateway's answer. There was no hint, but the leaf is right. */
static void test_late_hello(void **state)
{
	struct fixture *fixture = fixture_new(20);
	struct connecting connecting;
	int client = dial(fixture), tunnel = tunnel_accept(fixture, NULL, ANSWER_200);

	(void)state;
	connect_start(&connecting, tls_client_new(trusting, client, "late.example", NULL));
	exchange(&connecting, tunnel);
	fixture_free(fixture, 1, 0);
}

/* The ClientHello begins in time, and goes on after the answer. */
static void test_split_hello(void **state)
{
	struct fixture *fixture = fixture_new(10);
	struct connecting connecting;
	SSL *ssl = tls_client_new(trusting, 0, "split.example", NULL);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	int client = dial(fixture), tunnel, size;
	char hello[4096];

	(void)state;
	BIO_set_mem_eof_return(in, -1);
	SSL_set_bio(ssl, in, out);
	assert_int_equal(SSL_connect(ssl), -1);
	size = BIO_read(out, hello, sizeof(hello));
	assert_true(size > 100);
	assert_int_equal(send(client, hello, 50, 0), 50);
	tunnel = tunnel_accept(fixture, NULL, ANSWER_200);
	assert_int_equal(send(client, hello + 50, (size_t)size - 50, 0), size - 50);
	assert_int_equal(SSL_set_fd(ssl, client), 1);
	connect_start(&connecting, ssl);
	exchange(&connecting, tunnel);
	fixture_free(fixture, 1, 0);
}

/* A refused client gets a RST and no handshake. A distrusted CA is counted, and the gateway sees no
 * clean end. */
static void test_failures(void **state)
{
	struct fixture *fixture = fixture_new(2000);
	SSL_CTX *distrusting = tls_client_context(NULL, 0);
	struct connecting connecting;
	int client = dial(fixture), tunnel;

	(void)state;
	connect_start(&connecting, tls_client_new(trusting, client, "a.example", NULL));
	tunnel = tunnel_accept(fixture, "X-Tls-Sni", "HTTP/1.1 400 Bad Request\r\n\r\n");
	pthread_join(connecting.thread, NULL);
	assert_int_equal(SSL_get_error(connecting.ssl, connecting.result), SSL_ERROR_SYSCALL);
	SSL_free(connecting.ssl);
	close(client);
	close(tunnel);
	client = dial(fixture);
	connect_start(&connecting, tls_client_new(distrusting, client, "a.example", NULL));
	tunnel = tunnel_accept(fixture, "X-Tls-Sni", ANSWER_200);
	pthread_join(connecting.thread, NULL);
	assert_true(connecting.result <= 0);
	assert_int_equal(recv(tunnel, &(char) {0}, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	SSL_free(connecting.ssl);
	close(client);
	close(tunnel);
	SSL_CTX_free(distrusting);
	fixture_free(fixture, 0, 1);
}

#define LAST_BYTES ((size_t)100000)
#define LAST_MS	   300

struct ending {
	SSL *ssl;
	int tunnel;
	size_t received;
};

/* Ends the tunnel once the drain has begun. The client reads late. */
static void *ending_run(void *context)
{
	static char last[LAST_BYTES];
	struct ending *ending = context;
	size_t part;

	(void)poll(NULL, 0, 100);
	(void)send(ending->tunnel, last, sizeof(last), MSG_NOSIGNAL);
	close(ending->tunnel);
	(void)poll(NULL, 0, LAST_MS);
	while (SSL_read_ex(ending->ssl, last, sizeof(last), &part) == 1)
		ending->received += part;
	return NULL;
}

/* While draining, the proxy does not stop before the client's end has the last bytes. */
static void test_drain(void **state)
{
	struct fixture *fixture = fixture_new(2000);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;
	struct connecting connecting;
	struct ending ending = {.received = 0};
	uint64_t start;
	pthread_t thread;

	(void)state;
	assert_int_equal(setsockopt(client, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&fixture->listener.address,
				 sizeof(struct sockaddr_in)),
			 0);
	connect_start(&connecting, tls_client_new(trusting, client, "a.example", NULL));
	ending.tunnel = tunnel_accept(fixture, "X-Tls-Sni", ANSWER_200);
	ending.ssl = connecting.ssl;
	assert_int_equal(pthread_join(connecting.thread, NULL), 0);
	assert_int_equal(connecting.result, 1);
	tls_say(ending.ssl, "ask");
	expect_bytes(ending.tunnel, "ask");
	assert_int_equal(SSL_shutdown(ending.ssl), 0);
	expect_end(ending.tunnel);
	assert_int_equal(pthread_create(&thread, NULL, ending_run, &ending), 0);
	start = clock_ms();
	fixture_free(fixture, 1, 0);
	assert_true(clock_ms() - start >= LAST_MS);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(ending.received, LAST_BYTES);
	SSL_free(ending.ssl);
	close(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_terminated),
		cmocka_unit_test(test_connect_protocol),
		cmocka_unit_test(test_doubtful_gateway),
		cmocka_unit_test(test_other_answers_are_raw),
		cmocka_unit_test(test_other_protocols),
		cmocka_unit_test(test_late_hello),
		cmocka_unit_test(test_split_hello),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_drain),
	};
	int failed;

	if (geteuid() != 0) {
		(void)puts("1..0 # SKIP transparent sockets need CAP_NET_ADMIN");
		return 0;
	}
	log_set_level(LOG_WARNING);
	(void)signal(SIGPIPE, SIG_IGN);
	if (tls_authority_new(NULL, &authority) < 0)
		return 1;
	trusting = tls_client_context(authority, 0);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	SSL_CTX_free(trusting);
	tls_authority_free(authority);
	return failed;
}
