// SPDX-License-Identifier: Apache-2.0
/* Tests the bytes and the ends of a TLS relay, once its handshake is done. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/sockios.h>

#include <cmocka.h>

#include "support/peer.h"
#include "support/tls_bed.h"

static void half_closes(SSL_CTX *context)
{
	struct tls_bed *bed = tls_bed_new(0, 5000);
	SSL *ssl = tls_bed_connect(bed, context);

	tls_say(ssl, "ask");
	expect_bytes(bed->gateway, "ask");
	assert_int_equal(SSL_shutdown(ssl), 0);
	expect_end(bed->gateway);
	/* Bytes still flow back. */
	say(bed->gateway, "answer");
	tls_expect_bytes(ssl, "answer");
	say(bed->gateway, "more");
	shutdown(bed->gateway, SHUT_WR);
	tls_expect_bytes(ssl, "more");
	tls_expect_end(ssl);
	expect_end(bed->client);
	SSL_free(ssl);
	tls_bed_end(bed, false);

	bed = tls_bed_new(0, 5000);
	ssl = tls_bed_connect(bed, context);
	shutdown(bed->gateway, SHUT_WR);
	tls_expect_end(ssl);
	/* The client may continue. */
	tls_say(ssl, "ask");
	expect_bytes(bed->gateway, "ask");
	tls_say(ssl, "more");
	expect_bytes(bed->gateway, "more");
	assert_int_equal(SSL_shutdown(ssl), 1);
	expect_end(bed->gateway);
	SSL_free(ssl);
	tls_bed_end(bed, false);
}

static void test_half_close(void **state)
{
	(void)state;
	half_closes(tls_clients.old);
	half_closes(tls_clients.new);
}

/* FIN without close_notify does not end the stream. */
static void test_truncation(void **state)
{
	struct tls_bed *bed = tls_bed_new(0, 5000);
	SSL *ssl = tls_bed_connect(bed, tls_clients.any);

	(void)state;
	tls_say(ssl, "cut");
	expect_bytes(bed->gateway, "cut");
	shutdown(bed->client, SHUT_WR);
	tls_bed_expect_reset(bed->gateway);
	SSL_free(ssl);
	tls_bed_end(bed, true);
}

static void test_resets(void **state)
{
	int side;

	(void)state;
	for (side = 0; side < 2; side++) {
		struct tls_bed *bed = tls_bed_new(0, 5000);
		SSL *ssl = tls_bed_connect(bed, tls_clients.any);
		int *from = side ? &bed->gateway : &bed->client;

		tls_say(ssl, "x");
		expect_bytes(bed->gateway, "x");
		say(bed->gateway, "y");
		tls_expect_bytes(ssl, "y");
		tls_bed_reset(from);
		tls_bed_expect_reset(side ? bed->client : bed->gateway);
		SSL_free(ssl);
		tls_bed_end(bed, true);
	}
}

/* Bytes and the RST behind them come in one event, because the relay's thread is held meanwhile. */
static void reset_with_data(int side)
{
	struct tls_bed *bed = tls_bed_new(0, 5000);
	SSL *ssl = tls_bed_connect(bed, tls_clients.any);
	char text[32];
	int size;

	tls_say(ssl, "x");
	expect_bytes(bed->gateway, "x");
	tls_bed_hold(bed);
	if (side)
		say(bed->gateway, "last words");
	else
		tls_say(ssl, "last words");
	tls_bed_reset(side ? &bed->gateway : &bed->client);
	tls_bed_release(bed);
	if (side) {
		tls_expect_bytes(ssl, "last words");
		size = SSL_read(ssl, text, sizeof(text));
		assert_int_equal(SSL_get_error(ssl, size), SSL_ERROR_SYSCALL);
	} else {
		expect_bytes(bed->gateway, "last words");
		tls_bed_expect_reset(bed->gateway);
	}
	SSL_free(ssl);
	tls_bed_end(bed, true);
}

static void test_reset_with_data(void **state)
{
	(void)state;
	reset_with_data(0);
	reset_with_data(1);
}

/* The same with more bytes than a direction moves in one round. */
static void test_reset_behind_much(void **state)
{
	struct tls_bed *bed = tls_bed_new(0, 5000);
	SSL *ssl = tls_bed_connect(bed, tls_clients.any);
	static const int room = 8 << 20;
	static char block[65536];
	size_t received, wanted = 8 * sizeof(block);
	int i, unsent = 1, size;

	(void)state;
	assert_int_equal(setsockopt(bed->client, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)),
			 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(setsockopt(bed->relay.side[i].fd, SOL_SOCKET,
					    i ? SO_RCVBUFFORCE : SO_SNDBUFFORCE, &room,
					    sizeof(room)),
				 0);
	tls_bed_hold(bed);
	for (received = 0; received < wanted; received += sizeof(block))
		put(bed->gateway, block, sizeof(block));
	/* A reset drops what the relay's kernel has not got. */
	while (unsent > 0)
		assert_int_equal(ioctl(bed->gateway, SIOCOUTQ, &unsent), 0);
	tls_bed_reset(&bed->gateway);
	tls_bed_release(bed);
	for (received = 0; received < wanted; received += (size_t)size) {
		size = SSL_read(ssl, block, sizeof(block));
		assert_true(size > 0);
	}
	size = SSL_read(ssl, block, sizeof(block));
	assert_int_equal(SSL_get_error(ssl, size), SSL_ERROR_SYSCALL);
	SSL_free(ssl);
	tls_bed_end(bed, true);
}

/* The gateway's RST is no clean end for the client either. */
static void test_reset_behind_close_notify(void **state)
{
	struct tls_bed *bed = tls_bed_new(0, 5000);
	SSL *ssl = tls_bed_connect(bed, tls_clients.any);

	(void)state;
	assert_int_equal(SSL_shutdown(ssl), 0);
	expect_end(bed->gateway);
	tls_bed_reset(&bed->gateway);
	tls_bed_expect_reset_soon(bed->client);
	SSL_free(ssl);
	tls_bed_end(bed, true);
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

/* Sends 10 MB each way in big records. Small socket buffers make both sides wait. */
static void bulk(SSL_CTX *context, int buffer)
{
	struct tls_bed *bed = tls_bed_new(buffer, 5000);
	SSL *ssl = tls_bed_connect(bed, context);
	static uint8_t block[65536];
	pthread_t sender, receiver;
	size_t done, i;
	void *received;

	assert_int_equal(pthread_create(&receiver, NULL, gateway_receive, &bed->gateway), 0);
	for (done = 0; done < BULK; done += sizeof(block)) {
		for (i = 0; i < sizeof(block); i++)
			block[i] = pattern(done + i);
		assert_int_equal(SSL_write(ssl, block, sizeof(block)), sizeof(block));
	}
	SSL_shutdown(ssl);
	assert_int_equal(pthread_join(receiver, &received), 0);
	assert_int_equal((uintptr_t)received, BULK);
	assert_int_equal(pthread_create(&sender, NULL, gateway_send, &bed->gateway), 0);
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
	tls_bed_join(bed);
	assert_int_equal(bed->relay.moved[0], BULK);
	assert_int_equal(bed->relay.moved[1], BULK);
	tls_bed_end(bed, false);
}

static void test_bulk(void **state)
{
	(void)state;
	bulk(tls_clients.new, 0);
	bulk(tls_clients.old, 0);
	bulk(tls_clients.any, 16384);
}

/* When the client stops reading, the kept bytes are bounded and the gateway is not read. */
static void test_stopped_reader(void **state)
{
	struct tls_bed *bed = tls_bed_new(16384, 5000);
	SSL *ssl = tls_bed_connect(bed, tls_clients.any);
	static char block[65536];
	struct pollfd wait = {.fd = bed->gateway, .events = POLLOUT};
	size_t sent = 0;

	(void)state;
	while (sent < BULK) {
		ssize_t size = send(bed->gateway, block, sizeof(block), MSG_DONTWAIT);

		if (size > 0)
			sent += (size_t)size;
		else if (poll(&wait, 1, 300) == 0)
			break;
	}
	assert_true(sent < BULK);
	/* The read is racy, but the value cannot change while nothing is read from the sockets. */
	assert_true(tls_relay_memory(bed->tls) > 0);
	assert_true(tls_relay_memory(bed->tls) <= TLS_STREAM_KEPT);
	/* A reset is noticed nevertheless. */
	tls_bed_reset(&bed->client);
	tls_bed_expect_reset_soon(bed->gateway);
	SSL_free(ssl);
	tls_bed_end(bed, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_resets),
		cmocka_unit_test(test_reset_with_data),
		cmocka_unit_test(test_reset_behind_much),
		cmocka_unit_test(test_reset_behind_close_notify),
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_stopped_reader),
	};

	return cmocka_run_group_tests(tests, tls_beds_set_up, tls_beds_tear_down);
}
