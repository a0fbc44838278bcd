// SPDX-License-Identifier: Apache-2.0
/* Tests the handshakes of a TLS relay: names, protocols, resumption and failures. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "stream/relay_pump.h"
#include "support/peer.h"
#include "support/tls_bed.h"

/* Takes the ClientHello of a real client, and sends it nowhere. */
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

/* The ClientHello was already read, whole or in part, and bytes came with the gateway's answer. */
static void test_peeked(void **state)
{
	size_t part;

	(void)state;
	for (part = 0; part < 3; part++) {
		struct tls_bed *bed = tls_bed_new(0, 5000);
		SSL *ssl = tls_client_new(tls_clients.any, bed->client, "a.example", NULL);
		uint8_t hello[4096];
		size_t size = hello_take(ssl, hello, sizeof(hello));
		size_t first = part == 0 ? size : part == 1 ? 1 : size - 1;

		assert_int_equal(relay_queue(&bed->relay, 1, "early ", 6), 0);
		tls_bed_start(bed, "a.example", hello, first);
		assert_int_equal(SSL_set_fd(ssl, bed->client), 1);
		assert_int_equal(send(bed->client, hello + first, size - first, 0), size - first);
		tls_expect_connect(ssl);
		say(bed->gateway, "late");
		tls_expect_bytes(ssl, "early late");
		SSL_shutdown(ssl);
		expect_end(bed->gateway);
		shutdown(bed->gateway, SHUT_WR);
		SSL_free(ssl);
		tls_bed_end(bed, false);
	}
}

/* Each segment has one byte. */
static void test_byte_by_byte(void **state)
{
	struct tls_bed *bed = tls_bed_new(0, 5000);
	SSL *ssl = tls_client_new(tls_clients.any, bed->client, "a.example", NULL);
	static const int one = 1;
	uint8_t hello[4096];
	size_t size = hello_take(ssl, hello, sizeof(hello)), i;

	(void)state;
	tls_bed_start(bed, "a.example", NULL, 0);
	setsockopt(bed->client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (i = 0; i < size; i++)
		assert_int_equal(send(bed->client, hello + i, 1, 0), 1);
	assert_int_equal(SSL_set_fd(ssl, bed->client), 1);
	tls_expect_connect(ssl);
	SSL_shutdown(ssl);
	expect_end(bed->gateway);
	close(bed->gateway);
	bed->gateway = -1;
	SSL_free(ssl);
	tls_bed_end(bed, false);
}

/* The leaf is for the name in the ClientHello, if it was not known before. */
static void test_names(void **state)
{
	struct tls_bed *bed = tls_bed_new(0, 5000);
	SSL *ssl = tls_client_new(tls_clients.any, bed->client, NULL, "192.0.2.1");

	(void)state;
	tls_bed_start(bed, "192.0.2.1", NULL, 0);
	tls_expect_connect(ssl);
	SSL_shutdown(ssl);
	expect_end(bed->gateway);
	shutdown(bed->gateway, SHUT_WR);
	SSL_free(ssl);
	tls_bed_end(bed, false);

	bed = tls_bed_new(0, 5000);
	ssl = tls_client_new(tls_clients.any, bed->client, "late.example", NULL);
	tls_bed_start(bed, "192.0.2.1", NULL, 0);
	tls_expect_connect(ssl);
	SSL_shutdown(ssl);
	expect_end(bed->gateway);
	shutdown(bed->gateway, SHUT_WR);
	SSL_free(ssl);
	tls_bed_end(bed, false);
}

static void expect_protocol(const char *offer, size_t size, const char *selected, int reason)
{
	struct tls_bed *bed = tls_bed_new(0, 5000);
	SSL *ssl = tls_client_new(tls_clients.any, bed->client, "a.example", NULL);
	const unsigned char *name;
	unsigned int length;

	assert_int_equal(SSL_set_alpn_protos(ssl, (const unsigned char *)offer, (unsigned)size), 0);
	tls_bed_start(bed, "a.example", NULL, 0);
	if (reason) {
		assert_int_equal(tls_expect_refusal(ssl), reason);
		/* The client gets a FIN, the gateway a RST. */
		tls_bed_expect_reset(bed->gateway);
		SSL_free(ssl);
		tls_bed_end(bed, false);
		return;
	}
	tls_expect_connect(ssl);
	SSL_get0_alpn_selected(ssl, &name, &length);
	assert_int_equal(length, strlen(selected));
	if (length)
		assert_memory_equal(name, selected, length);
	SSL_shutdown(ssl);
	expect_end(bed->gateway);
	shutdown(bed->gateway, SHUT_WR);
	SSL_free(ssl);
	tls_bed_end(bed, false);
}

static void test_alpn(void **state)
{
	(void)state;
	expect_protocol("\x02h2\x08http/1.1", 12, "http/1.1", 0);
	expect_protocol("\x08http/1.1", 9, "http/1.1", 0);
	expect_protocol("\x04mqtt", 5, "", 0);
	expect_protocol("\x02h2", 3, "", SSL_AD_REASON_OFFSET + SSL_AD_NO_APPLICATION_PROTOCOL);
}

/* Waits until the handshake fails with @error. The gateway is reset, the client is not. */
static void expect_failure(struct tls_bed *bed, int error, int reason)
{
	tls_bed_expect_reset(bed->gateway);
	tls_bed_join(bed);
	assert_int_equal(bed->failure.error, error);
	if (reason)
		assert_int_equal(ERR_GET_REASON(bed->failure.code), reason);
	tls_bed_end(bed, false);
}

static void test_failures(void **state)
{
	struct tls_bed *bed = tls_bed_new(0, 5000);
	SSL_CTX *distrusting = tls_client_context(NULL, 0);
	SSL *ssl = tls_client_new(distrusting, bed->client, "a.example", NULL);
	uint8_t hello[4096];
	size_t size;

	(void)state;
	/* The client does not know the authority and sends an alert. */
	tls_bed_start(bed, "a.example", NULL, 0);
	assert_int_equal(tls_expect_refusal(ssl), SSL_R_CERTIFICATE_VERIFY_FAILED);
	expect_failure(bed, -EPROTO, SSL_AD_REASON_OFFSET + SSL_AD_UNKNOWN_CA);
	SSL_free(ssl);
	SSL_CTX_free(distrusting);
	/* It sends the alert and resets before the relay reads anything. */
	bed = tls_bed_new(0, 5000);
	ssl = tls_client_new(tls_clients.any, bed->client, "a.example", NULL);
	size = hello_take(ssl, hello, sizeof(hello));
	assert_int_equal(send(bed->client, "\x15\x03\x03\x00\x02\x02\x30", 7, 0), 7);
	tls_bed_reset(&bed->client);
	bed->relay.side[0].latched = EPOLLOUT;
	tls_bed_start(bed, "a.example", hello, size);
	expect_failure(bed, -EPROTO, SSL_AD_REASON_OFFSET + SSL_AD_UNKNOWN_CA);
	SSL_free(ssl);
	/* Garbage follows the ClientHello. */
	bed = tls_bed_new(0, 5000);
	ssl = tls_client_new(tls_clients.any, bed->client, "a.example", NULL);
	size = hello_take(ssl, hello, sizeof(hello));
	tls_bed_start(bed, "a.example", hello, size);
	say(bed->client, "GET / HTTP/1.1\r\n\r\n");
	expect_failure(bed, -EPROTO, 0);
	SSL_free(ssl);
	/* It stops in the middle, and the limit expires. */
	bed = tls_bed_new(0, 50);
	tls_bed_start(bed, "a.example", hello, size - 1);
	expect_failure(bed, -ETIMEDOUT, 0);
	bed = tls_bed_new(0, 50);
	tls_bed_start(bed, "a.example", hello, size);
	expect_failure(bed, -ETIMEDOUT, 0);
	/* It closes in the middle. */
	bed = tls_bed_new(0, 5000);
	shutdown(bed->client, SHUT_WR);
	tls_bed_start(bed, "a.example", hello, size - 1);
	expect_failure(bed, -ENODATA, 0);
}

/* A second connection of the same client resumes with a ticket of the first. */
static void test_resumption(void **state)
{
	SSL_SESSION *session = NULL;
	int round;

	(void)state;
	for (round = 0; round < 2; round++) {
		struct tls_bed *bed = tls_bed_new(0, 5000);
		SSL *ssl = tls_client_new(tls_clients.new, bed->client, "a.example", NULL);

		if (session)
			assert_int_equal(SSL_set_session(ssl, session), 1);
		tls_bed_start(bed, "a.example", NULL, 0);
		tls_expect_connect(ssl);
		assert_int_equal(SSL_session_reused(ssl), round);
		say(bed->gateway, "x");
		tls_expect_bytes(ssl, "x");
		SSL_SESSION_free(session);
		session = SSL_get1_session(ssl);
		SSL_shutdown(ssl);
		expect_end(bed->gateway);
		shutdown(bed->gateway, SHUT_WR);
		SSL_free(ssl);
		tls_bed_end(bed, false);
	}
	SSL_SESSION_free(session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peeked),	 cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_names),	 cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_failures), cmocka_unit_test(test_resumption),
	};

	return cmocka_run_group_tests(tests, tls_beds_set_up, tls_beds_tear_down);
}
