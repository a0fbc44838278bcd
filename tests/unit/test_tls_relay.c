// SPDX-License-Identifier: Apache-2.0
/*
 * The TLS relay alone, between loopback sockets, in a thread of its own; the test is the client,
 * with OpenSSL, and the gateway, both with blocking sockets.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/log.h"
#include "stream/relay_pump.h"
#include "tls/tls_relay.h"
#include "tls_client.h"

static struct tls_authority *authority;
static SSL_CTX *any_client, *old_client, *new_client;

struct fixture {
	struct loop *loop;
	struct relay_pool *pool;
	struct tls_relay_pool *tls_pool;
	struct relay relay;
	struct tls_relay *tls;
	pthread_t thread;
	int client, gateway; /* the peers of sides 0 and 1 */
	int handshakes;
	struct tls_failure failure;
	bool finished, reset, joined;
};

static struct fixture *fixture_of(struct relay *relay)
{
	return (struct fixture *)(void *)((char *)relay - offsetof(struct fixture, relay));
}

static void tcp_pair(int pair[2], int buffer)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (buffer) {
		assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(int)),
				 0);
		assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(int)),
				 0);
	}
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(connect(pair[0], (struct sockaddr *)&address, size), 0);
	pair[1] = accept(listener, NULL, NULL);
	assert_true(pair[1] >= 0);
	close(listener);
}

static void handshaken(struct relay *relay, const struct tls_failure *failure)
{
	struct fixture *fixture = fixture_of(relay);

	fixture->handshakes++;
	if (failure)
		fixture->failure = *failure;
}

static void finished(struct relay *relay, bool reset)
{
	struct fixture *fixture = fixture_of(relay);

	assert_false(fixture->finished);
	fixture->finished = true;
	fixture->reset = reset;
	tls_relay_free(fixture->tls);
	relay_close(relay, reset);
	loop_stop(fixture->loop);
}

static void ready_client(struct loop_handler *handler, uint32_t events)
{
	struct fixture *fixture =
		(struct fixture *)(void *)((char *)handler -
					   offsetof(struct fixture, relay.side[0]));

	tls_relay_event(fixture->tls, 0, events);
}

static void ready_gateway(struct loop_handler *handler, uint32_t events)
{
	struct fixture *fixture =
		(struct fixture *)(void *)((char *)handler -
					   offsetof(struct fixture, relay.side[1]));

	tls_relay_event(fixture->tls, 1, events);
}

/* @buffer: of the sockets, 0: the default. */
static struct fixture *fixture_new(int buffer, unsigned int handshake_ms)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	int left[2], right[2], i;

	tcp_pair(left, buffer);
	tcp_pair(right, buffer);
	fixture->client = left[0];
	fixture->gateway = right[1];
	fixture->loop = loop_new();
	fixture->pool = relay_pool_new(fixture->loop);
	fixture->tls_pool = tls_relay_pool_new(fixture->pool, handshake_ms);
	assert_non_null(fixture->tls_pool);
	relay_init(&fixture->relay, fixture->pool);
	fixture->relay.finish = finished;
	fixture->relay.side[0].ready = ready_client;
	fixture->relay.side[1].ready = ready_gateway;
	for (i = 0; i < 2; i++) {
		int fd = i ? right[0] : left[1];

		assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
		fixture->relay.side[i].latched = EPOLLIN | EPOLLOUT;
		assert_int_equal(loop_add(fixture->loop, &fixture->relay.side[i], fd, RELAY_EVENTS),
				 0);
	}
	return fixture;
}

static void *fixture_thread(void *context)
{
	struct fixture *fixture = context;
	sigset_t all;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
	tls_relay_start(fixture->tls);
	if (!fixture->finished)
		(void)loop_run(fixture->loop);
	return NULL;
}

/* With a leaf for @name; @first was read from the client already. */
static void fixture_start(struct fixture *fixture, const char *name, const void *first, size_t size)
{
	char *copy = size ? malloc(size) : NULL;

	if (size)
		memcpy(copy, first, size);
	fixture->tls = tls_relay_new(&fixture->relay, fixture->tls_pool,
				     tls_authority_accept(authority, name), copy, size);
	assert_non_null(fixture->tls);
	fixture->tls->handshaken = handshaken;
	assert_int_equal(pthread_create(&fixture->thread, NULL, fixture_thread, fixture), 0);
}

/* Waits for the relay's end; its fields may be looked at then. */
static void fixture_join(struct fixture *fixture)
{
	if (!fixture->joined)
		assert_int_equal(pthread_join(fixture->thread, NULL), 0);
	fixture->joined = true;
}

static void fixture_end(struct fixture *fixture, bool reset)
{
	fixture_join(fixture);
	assert_true(fixture->finished);
	assert_int_equal(fixture->reset, reset);
	assert_int_equal(fixture->handshakes, 1);
	loop_flush(fixture->loop);
	tls_relay_pool_free(fixture->tls_pool);
	relay_pool_free(fixture->pool);
	loop_free(fixture->loop);
	if (fixture->client >= 0)
		close(fixture->client);
	if (fixture->gateway >= 0)
		close(fixture->gateway);
	free(fixture);
}

static void expect_bytes(int fd, const char *text)
{
	char buffer[64] = {0};

	assert_int_equal(recv(fd, buffer, strlen(text), MSG_WAITALL), strlen(text));
	assert_string_equal(buffer, text);
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void expect_end(int fd)
{
	assert_int_equal(recv(fd, &(char) {0}, 1, 0), 0);
}

static void expect_reset(int fd)
{
	assert_int_equal(recv(fd, &(char) {0}, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

/* Behind whatever arrived before it. */
static void expect_reset_soon(int fd)
{
	char block[4096];
	ssize_t size;

	while ((size = recv(fd, block, sizeof(block), 0)) > 0)
		;
	assert_int_equal(size, -1);
	assert_int_equal(errno, ECONNRESET);
}

/* A connected client; the relay has a leaf for a.example. */
static SSL *connected(struct fixture *fixture, SSL_CTX *context)
{
	SSL *ssl = tls_client_new(context, fixture->client, "a.example", NULL);

	fixture_start(fixture, "a.example", NULL, 0);
	tls_expect_connect(ssl);
	return ssl;
}

static void half_closes(SSL_CTX *context)
{
	struct fixture *fixture = fixture_new(0, 5000);
	SSL *ssl = connected(fixture, context);

	tls_say(ssl, "ask");
	expect_bytes(fixture->gateway, "ask");
	assert_int_equal(SSL_shutdown(ssl), 0);
	expect_end(fixture->gateway);
	/* Bytes still flow back. */
	say(fixture->gateway, "answer");
	tls_expect_bytes(ssl, "answer");
	say(fixture->gateway, "more");
	shutdown(fixture->gateway, SHUT_WR);
	tls_expect_bytes(ssl, "more");
	tls_expect_end(ssl);
	expect_end(fixture->client);
	SSL_free(ssl);
	fixture_end(fixture, false);

	fixture = fixture_new(0, 5000);
	ssl = connected(fixture, context);
	shutdown(fixture->gateway, SHUT_WR);
	tls_expect_end(ssl);
	/* And the client may go on. */
	tls_say(ssl, "ask");
	expect_bytes(fixture->gateway, "ask");
	tls_say(ssl, "more");
	expect_bytes(fixture->gateway, "more");
	assert_int_equal(SSL_shutdown(ssl), 1);
	expect_end(fixture->gateway);
	SSL_free(ssl);
	fixture_end(fixture, false);
}

static void test_half_close(void **state)
{
	(void)state;
	half_closes(old_client);
	half_closes(new_client);
}

/* FIN without close_notify is no end of the stream. */
static void test_truncation(void **state)
{
	struct fixture *fixture = fixture_new(0, 5000);
	SSL *ssl = connected(fixture, any_client);

	(void)state;
	tls_say(ssl, "cut");
	expect_bytes(fixture->gateway, "cut");
	shutdown(fixture->client, SHUT_WR);
	expect_reset(fixture->gateway);
	SSL_free(ssl);
	fixture_end(fixture, true);
}

static void test_resets(void **state)
{
	int side;

	(void)state;
	for (side = 0; side < 2; side++) {
		struct fixture *fixture = fixture_new(0, 5000);
		SSL *ssl = connected(fixture, any_client);
		int *from = side ? &fixture->gateway : &fixture->client;

		tls_say(ssl, "x");
		expect_bytes(fixture->gateway, "x");
		say(fixture->gateway, "y");
		tls_expect_bytes(ssl, "y");
		relay_reset_on_close(*from);
		close(*from);
		*from = -1;
		expect_reset(side ? fixture->client : fixture->gateway);
		SSL_free(ssl);
		fixture_end(fixture, true);
	}
}

/* The gateway's RST is not a clean end for the client either. */
static void test_reset_behind_close_notify(void **state)
{
	struct fixture *fixture = fixture_new(0, 5000);
	SSL *ssl = connected(fixture, any_client);

	(void)state;
	assert_int_equal(SSL_shutdown(ssl), 0);
	expect_end(fixture->gateway);
	relay_reset_on_close(fixture->gateway);
	close(fixture->gateway);
	fixture->gateway = -1;
	expect_reset_soon(fixture->client);
	SSL_free(ssl);
	fixture_end(fixture, true);
}

/* The ClientHello of a real client, as it is before anybody has seen it. */
static size_t hello_take(SSL *ssl, uint8_t *hello, size_t size)
{
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	int length;

	BIO_set_mem_eof_return(in, -1);
	SSL_set_bio(ssl, in, out);
	assert_int_equal(SSL_connect(ssl), -1);
	length = BIO_read(out, hello, (int)size);
	assert_true(length > 0);
	return (size_t)length;
}

/* What was read before, whole or in part, and bytes that came with the gateway's answer. */
static void test_peeked(void **state)
{
	size_t part;

	(void)state;
	for (part = 0; part < 3; part++) {
		struct fixture *fixture = fixture_new(0, 5000);
		SSL *ssl = tls_client_new(any_client, fixture->client, "a.example", NULL);
		uint8_t hello[4096];
		size_t size = hello_take(ssl, hello, sizeof(hello));
		size_t first = part == 0 ? size : part == 1 ? 1 : size - 1;

		assert_int_equal(relay_queue(&fixture->relay, 1, "early ", 6), 0);
		fixture_start(fixture, "a.example", hello, first);
		assert_int_equal(SSL_set_fd(ssl, fixture->client), 1);
		assert_int_equal(send(fixture->client, hello + first, size - first, 0),
				 size - first);
		tls_expect_connect(ssl);
		say(fixture->gateway, "late");
		tls_expect_bytes(ssl, "early late");
		SSL_shutdown(ssl);
		expect_end(fixture->gateway);
		shutdown(fixture->gateway, SHUT_WR);
		SSL_free(ssl);
		fixture_end(fixture, false);
	}
}

/* One byte a segment. */
static void test_byte_by_byte(void **state)
{
	struct fixture *fixture = fixture_new(0, 5000);
	SSL *ssl = tls_client_new(any_client, fixture->client, "a.example", NULL);
	static const int one = 1;
	uint8_t hello[4096];
	size_t size = hello_take(ssl, hello, sizeof(hello)), i;

	(void)state;
	fixture_start(fixture, "a.example", NULL, 0);
	setsockopt(fixture->client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (i = 0; i < size; i++)
		assert_int_equal(send(fixture->client, hello + i, 1, 0), 1);
	assert_int_equal(SSL_set_fd(ssl, fixture->client), 1);
	tls_expect_connect(ssl);
	SSL_shutdown(ssl);
	expect_end(fixture->gateway);
	close(fixture->gateway);
	fixture->gateway = -1;
	SSL_free(ssl);
	fixture_end(fixture, false);
}

/* The leaf is for what the ClientHello says, when that was not known before. */
static void test_names(void **state)
{
	struct fixture *fixture = fixture_new(0, 5000);
	SSL *ssl = tls_client_new(any_client, fixture->client, NULL, "192.0.2.1");

	(void)state;
	fixture_start(fixture, "192.0.2.1", NULL, 0);
	tls_expect_connect(ssl);
	SSL_shutdown(ssl);
	expect_end(fixture->gateway);
	shutdown(fixture->gateway, SHUT_WR);
	SSL_free(ssl);
	fixture_end(fixture, false);

	fixture = fixture_new(0, 5000);
	ssl = tls_client_new(any_client, fixture->client, "late.example", NULL);
	fixture_start(fixture, "192.0.2.1", NULL, 0);
	tls_expect_connect(ssl);
	SSL_shutdown(ssl);
	expect_end(fixture->gateway);
	shutdown(fixture->gateway, SHUT_WR);
	SSL_free(ssl);
	fixture_end(fixture, false);
}

static void expect_protocol(const char *offer, size_t size, const char *selected, int reason)
{
	struct fixture *fixture = fixture_new(0, 5000);
	SSL *ssl = tls_client_new(any_client, fixture->client, "a.example", NULL);
	const unsigned char *name;
	unsigned int length;

	assert_int_equal(SSL_set_alpn_protos(ssl, (const unsigned char *)offer, (unsigned)size), 0);
	fixture_start(fixture, "a.example", NULL, 0);
	if (reason) {
		assert_int_equal(tls_expect_refusal(ssl), reason);
		/* The client got an end, the gateway none. */
		expect_reset(fixture->gateway);
		SSL_free(ssl);
		fixture_end(fixture, false);
		return;
	}
	tls_expect_connect(ssl);
	SSL_get0_alpn_selected(ssl, &name, &length);
	assert_int_equal(length, strlen(selected));
	if (length)
		assert_memory_equal(name, selected, length);
	SSL_shutdown(ssl);
	expect_end(fixture->gateway);
	shutdown(fixture->gateway, SHUT_WR);
	SSL_free(ssl);
	fixture_end(fixture, false);
}

static void test_alpn(void **state)
{
	(void)state;
	expect_protocol("\x02h2\x08http/1.1", 12, "http/1.1", 0);
	expect_protocol("\x08http/1.1", 9, "http/1.1", 0);
	expect_protocol("\x04mqtt", 5, "", 0);
	expect_protocol("\x02h2", 3, "", SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL);
}

/* Waits for a handshake that fails with @error; the gateway is reset, and the client not. */
static void expect_failure(struct fixture *fixture, int error, int reason)
{
	expect_reset(fixture->gateway);
	fixture_join(fixture);
	assert_int_equal(fixture->failure.error, error);
	if (reason)
		assert_int_equal(ERR_GET_REASON(fixture->failure.code), reason);
	fixture_end(fixture, false);
}

static void test_failures(void **state)
{
	struct fixture *fixture = fixture_new(0, 5000);
	SSL_CTX *distrusting = tls_client_context(NULL, 0);
	SSL *ssl = tls_client_new(distrusting, fixture->client, "a.example", NULL);
	uint8_t hello[4096];
	size_t size;

	(void)state;
	/* The client does not know the authority, and says so. */
	fixture_start(fixture, "a.example", NULL, 0);
	assert_int_equal(tls_expect_refusal(ssl), SSL_R_CERTIFICATE_VERIFY_FAILED);
	expect_failure(fixture, -EPROTO, SSL_AD_REASON_OFFSET + SSL_AD_UNKNOWN_CA);
	SSL_free(ssl);
	SSL_CTX_free(distrusting);
	/* It says so and resets, before anything is read of it. */
	fixture = fixture_new(0, 5000);
	ssl = tls_client_new(any_client, fixture->client, "a.example", NULL);
	size = hello_take(ssl, hello, sizeof(hello));
	assert_int_equal(send(fixture->client, "\x15\x03\x03\x00\x02\x02\x30", 7, 0), 7);
	relay_reset_on_close(fixture->client);
	close(fixture->client);
	fixture->client = -1;
	fixture->relay.side[0].latched = EPOLLOUT;
	fixture_start(fixture, "a.example", hello, size);
	expect_failure(fixture, -EPROTO, SSL_AD_REASON_OFFSET + SSL_AD_UNKNOWN_CA);
	SSL_free(ssl);
	/* Garbage behind the ClientHello. */
	fixture = fixture_new(0, 5000);
	ssl = tls_client_new(any_client, fixture->client, "a.example", NULL);
	size = hello_take(ssl, hello, sizeof(hello));
	fixture_start(fixture, "a.example", hello, size);
	say(fixture->client, "GET / HTTP/1.1\r\n\r\n");
	expect_failure(fixture, -EPROTO, 0);
	SSL_free(ssl);
	/* It stops in the middle: the limit. */
	fixture = fixture_new(0, 50);
	fixture_start(fixture, "a.example", hello, size - 1);
	expect_failure(fixture, -ETIMEDOUT, 0);
	fixture = fixture_new(0, 50);
	fixture_start(fixture, "a.example", hello, size);
	expect_failure(fixture, -ETIMEDOUT, 0);
	/* It closes in the middle. */
	fixture = fixture_new(0, 5000);
	shutdown(fixture->client, SHUT_WR);
	fixture_start(fixture, "a.example", hello, size - 1);
	expect_failure(fixture, -ENODATA, 0);
}

#define BULK ((size_t)10 * 1024 * 1024)

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

static void *gateway_send(void *context)
{
	int fd = *(int *)context;
	static uint8_t block[65536];
	size_t sent = 0, i;

	while (sent < BULK) {
		for (i = 0; i < sizeof(block); i++)
			block[i] = pattern(sent + i);
		assert_int_equal(send(fd, block, sizeof(block), MSG_NOSIGNAL), sizeof(block));
		sent += sizeof(block);
	}
	shutdown(fd, SHUT_WR);
	return NULL;
}

static void *gateway_receive(void *context)
{
	int fd = *(int *)context;
	static uint8_t block[65536];
	size_t received = 0;
	ssize_t size, i;

	while ((size = recv(fd, block, sizeof(block), 0)) > 0) {
		for (i = 0; i < size; i++)
			if (block[i] != pattern(received + (size_t)i))
				return NULL;
		received += (size_t)size;
	}
	return (void *)(uintptr_t)received;
}

/* 10 MB each way, big records; small socket buffers make both sides wait. */
static void bulk(SSL_CTX *context, int buffer)
{
	struct fixture *fixture = fixture_new(buffer, 5000);
	SSL *ssl = connected(fixture, context);
	static uint8_t block[65536];
	pthread_t sender, receiver;
	size_t done, i;
	void *received;

	assert_int_equal(pthread_create(&receiver, NULL, gateway_receive, &fixture->gateway), 0);
	for (done = 0; done < BULK; done += sizeof(block)) {
		for (i = 0; i < sizeof(block); i++)
			block[i] = pattern(done + i);
		assert_int_equal(SSL_write(ssl, block, sizeof(block)), sizeof(block));
	}
	SSL_shutdown(ssl);
	assert_int_equal(pthread_join(receiver, &received), 0);
	assert_int_equal((uintptr_t)received, BULK);
	assert_int_equal(pthread_create(&sender, NULL, gateway_send, &fixture->gateway), 0);
	for (done = 0; done < BULK;) {
		int size = SSL_read(ssl, block, sizeof(block));

		assert_true(size > 0);
		for (i = 0; i < (size_t)size; i++)
			assert_true(block[i] == pattern(done + i));
		done += (size_t)size;
	}
	tls_expect_end(ssl);
	assert_int_equal(pthread_join(sender, NULL), 0);
	SSL_free(ssl);
	fixture_join(fixture);
	assert_int_equal(fixture->relay.moved[0], BULK);
	assert_int_equal(fixture->relay.moved[1], BULK);
	fixture_end(fixture, false);
}

static void test_bulk(void **state)
{
	(void)state;
	bulk(new_client, 0);
	bulk(old_client, 0);
	bulk(any_client, 16384);
}

/* A reader that stops, each side: what is kept is bounded, and the source is not read on. */
static void test_stopped_reader(void **state)
{
	struct fixture *fixture = fixture_new(16384, 5000);
	SSL *ssl = connected(fixture, any_client);
	static char block[65536];
	struct pollfd wait = {.fd = fixture->gateway, .events = POLLOUT};
	size_t sent = 0;

	(void)state;
	while (sent < BULK) {
		ssize_t size = send(fixture->gateway, block, sizeof(block), MSG_DONTWAIT);

		if (size > 0)
			sent += (size_t)size;
		else if (poll(&wait, 1, 300) == 0)
			break;
	}
	assert_true(sent < BULK);
	/* Racy to look at, but its value cannot change while nothing is read. */
	assert_true(tls_relay_memory(fixture->tls) > 0);
	assert_true(tls_relay_memory(fixture->tls) <= TLS_STREAM_KEPT);
	/* A reset is seen all the same. */
	relay_reset_on_close(fixture->client);
	close(fixture->client);
	fixture->client = -1;
	expect_reset_soon(fixture->gateway);
	SSL_free(ssl);
	fixture_end(fixture, true);
}

/* A second connection of the same client resumes, with a ticket of the first. */
static void test_resumption(void **state)
{
	SSL_SESSION *session = NULL;
	int round;

	(void)state;
	for (round = 0; round < 2; round++) {
		struct fixture *fixture = fixture_new(0, 5000);
		SSL *ssl = tls_client_new(new_client, fixture->client, "a.example", NULL);

		if (session)
			assert_int_equal(SSL_set_session(ssl, session), 1);
		fixture_start(fixture, "a.example", NULL, 0);
		tls_expect_connect(ssl);
		assert_int_equal(SSL_session_reused(ssl), round);
		say(fixture->gateway, "x");
		tls_expect_bytes(ssl, "x");
		SSL_SESSION_free(session);
		session = SSL_get1_session(ssl);
		SSL_shutdown(ssl);
		expect_end(fixture->gateway);
		shutdown(fixture->gateway, SHUT_WR);
		SSL_free(ssl);
		fixture_end(fixture, false);
	}
	SSL_SESSION_free(session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_resets),
		cmocka_unit_test(test_reset_behind_close_notify),
		cmocka_unit_test(test_peeked),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_stopped_reader),
		cmocka_unit_test(test_resumption),
	};
	int failed;

	log_set_level(LOG_ERROR);
	(void)signal(SIGPIPE, SIG_IGN);
	if (tls_authority_new(NULL, &authority) < 0)
		return 1;
	any_client = tls_client_context(authority, 0);
	old_client = tls_client_context(authority, TLS1_2_VERSION);
	new_client = tls_client_context(authority, TLS1_3_VERSION);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	SSL_CTX_free(any_client);
	SSL_CTX_free(old_client);
	SSL_CTX_free(new_client);
	tls_authority_free(authority);
	return failed;
}
