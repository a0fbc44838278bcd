// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/address.h"
#include "proto/tunnel.h"

static const struct sockaddr *at(struct endpoint *endpoint, const char *text)
{
	assert_int_equal(endpoint_parse(text, endpoint), 0);
	return (const struct sockaddr *)&endpoint->address;
}

static void test_request_format(void **state)
{
	struct endpoint source, destination;
	struct hints hints = {.kind = HINTS_SNI, .name = "www.example.com"};
	char text[TUNNEL_REQUEST_MAX];
	size_t length;

	(void)state;
	length = tunnel_request_format(text, at(&source, "10.0.0.2:4000"),
				       at(&destination, "1.1.1.1:443"), NULL);
	assert_int_equal(length, strlen(text));
	assert_string_equal(text, "CONNECT 1.1.1.1:443 HTTP/1.1\r\n"
				  "Host: 1.1.1.1:443\r\n"
				  "User-Agent: proxy-everything/0.0.1/10.0.0.2:4000\r\n"
				  "Connection: close\r\n"
				  "X-Forwarded-For: 10.0.0.2:4000\r\n"
				  "X-Proto: tcp\r\n"
				  "\r\n");
	tunnel_request_format(text, at(&source, "[2001:db8::2]:4000"),
			      at(&destination, "[2001:db8::1]:443"), &hints);
	assert_non_null(strstr(text, "CONNECT [2001:db8::1]:443 HTTP/1.1\r\n"));
	assert_non_null(strstr(text, "\r\nX-Tls-Sni: www.example.com\r\n\r\n"));
	assert_null(strstr(text, "X-Hostname"));
	hints.kind = HINTS_HOST;
	tunnel_request_format(text, at(&source, "10.0.0.2:4000"), at(&destination, "1.1.1.1:80"),
			      &hints);
	assert_non_null(strstr(text, "\r\nX-Hostname: www.example.com\r\n\r\n"));
	assert_null(strstr(text, "X-Tls-Sni"));
}

/* Feeds @text in pieces of @part bytes. @ret_rest points to the bytes behind the head. */
static enum http_verdict answer_feed(const char *text, size_t size, size_t part, int *ret_status,
				     const char **ret_rest)
{
	struct tunnel_answer answer;
	size_t done = 0, used;

	tunnel_answer_init(&answer);
	while (done < size) {
		size_t piece = size - done < part ? size - done : part;
		enum http_verdict verdict = tunnel_answer_feed(&answer, text + done, piece, &used);

		if (verdict == HTTP_COMPLETE) {
			*ret_status = answer.status;
			*ret_rest = text + done + used;
		}
		if (verdict == HTTP_REFUSED)
			assert_non_null(answer.head.reason);
		if (verdict != HTTP_MORE)
			return verdict;
		done += piece;
	}
	return HTTP_MORE;
}

static void expect_answer(const char *text, int expected, const char *rest)
{
	size_t part;

	for (part = 1; part <= strlen(text); part++) {
		const char *left = NULL;
		int status = 0;

		assert_int_equal(answer_feed(text, strlen(text), part, &status, &left),
				 HTTP_COMPLETE);
		assert_int_equal(status, expected);
		assert_int_equal(strncmp(left, rest, strlen(left)), 0);
		assert_ptr_equal(left, text + strlen(text) - strlen(rest));
	}
}

static void expect_garbage(const char *text)
{
	const char *rest;
	int status;

	assert_int_equal(answer_feed(text, strlen(text), strlen(text), &status, &rest),
			 HTTP_REFUSED);
	assert_int_equal(answer_feed(text, strlen(text), 1, &status, &rest), HTTP_REFUSED);
}

static void test_answers(void **state)
{
	(void)state;
	expect_answer("HTTP/1.1 200 OK\r\n\r\n", 200, "");
	expect_answer("HTTP/1.1 200 OK\r\n\r\nSSH-2.0-x\r\n", 200, "SSH-2.0-x\r\n");
	expect_answer("HTTP/1.1 202 Accepted\r\nDate: now\r\n\r\nHTTP/1.1 500 x\r\n\r\n", 202,
		      "HTTP/1.1 500 x\r\n\r\n");
	expect_answer("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", 200, "hello");
	expect_answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello", 200, "hello");
	expect_answer("HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno", 400, "no");
	expect_answer("HTTP/1.0 502 Bad Gateway\r\n\r\n", 502, "");
	expect_answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: a\r\n\r\n"
		      "HTTP/1.1 200 OK\r\n\r\nrest",
		      200, "rest");
	expect_answer("HTTP/1.1 200 OK\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\nx", 200, "x");
}

static void expect_content(const char *text, enum tunnel_content workerd,
			   enum tunnel_content ordinary)
{
	struct tunnel_answer answer;
	size_t used, i;

	tunnel_answer_init(&answer);
	for (i = 0; text[i + 1]; i++)
		assert_int_equal(tunnel_answer_feed(&answer, text + i, 1, &used), HTTP_MORE);
	assert_int_equal(tunnel_answer_feed(&answer, text + i, 1, &used), HTTP_COMPLETE);
	assert_int_equal(tunnel_answer_content(&answer, TUNNEL_PROTOCOL_WORKERD), workerd);
	assert_int_equal(tunnel_answer_content(&answer, TUNNEL_PROTOCOL_CONNECT), ordinary);
}

/* A 200 means plaintext to workerd, and an open tunnel to any other proxy. */
static void test_answer_content(void **state)
{
	(void)state;
	expect_content("HTTP/1.1 200 OK\r\n\r\n", TUNNEL_PLAINTEXT, TUNNEL_UNCHANGED);
	expect_content("HTTP/1.1 200 OK\r\nVia: 1.1 a\r\n\r\n", TUNNEL_DOUBTFUL, TUNNEL_UNCHANGED);
	expect_content("HTTP/1.1 200 OK\r\nproxy-agent:\r\n\r\n", TUNNEL_DOUBTFUL,
		       TUNNEL_UNCHANGED);
	expect_content("HTTP/1.1 202 OK\r\nVia: 1.1 a\r\n\r\n", TUNNEL_UNCHANGED, TUNNEL_UNCHANGED);
	/* The gateway's own word counts in both protocols. */
	expect_content("HTTP/1.1 200 OK\r\nX-TLS-Plaintext:  accept \r\n\r\n", TUNNEL_PLAINTEXT,
		       TUNNEL_PLAINTEXT);
	expect_content("HTTP/1.1 200 OK\r\nVia: 1.1 a\r\nX-Tls-Plaintext: accept\r\n\r\n",
		       TUNNEL_PLAINTEXT, TUNNEL_PLAINTEXT);
	expect_content("HTTP/1.1 202 OK\r\nX-Tls-Plaintext: accept\r\n\r\n", TUNNEL_UNCHANGED,
		       TUNNEL_UNCHANGED);
	/* Anything but that word is none, and neither is an interim answer's. */
	expect_content("HTTP/1.1 200 OK\r\nX-Tls-Plaintext: accepted\r\n\r\n", TUNNEL_PLAINTEXT,
		       TUNNEL_UNCHANGED);
	expect_content("HTTP/1.1 200 OK\r\nX-Tls-Plaintext: acc\r\nX-Tls-Plaintext: "
		       "acceptaccept\r\n\r\n",
		       TUNNEL_PLAINTEXT, TUNNEL_UNCHANGED);
	expect_content("HTTP/1.1 200 OK\r\nX-Tls-Plaintext: reject\r\n\r\n", TUNNEL_PLAINTEXT,
		       TUNNEL_UNCHANGED);
	expect_content("HTTP/1.1 103 x\r\nX-Tls-Plaintext: accept\r\nVia: 1.1 a\r\n\r\n"
		       "HTTP/1.1 200 OK\r\n\r\n",
		       TUNNEL_PLAINTEXT, TUNNEL_UNCHANGED);
}

static void test_answer_garbage(void **state)
{
	static char large[HTTP_HEAD_MAX + 100];
	const char *rest;
	int status;

	(void)state;
	expect_garbage("220 smtp.example ESMTP\r\n");
	expect_garbage("SSH-2.0-OpenSSH_9.2\r\n");
	expect_garbage("\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
	expect_garbage("HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n");
	expect_garbage("HTTP/1.1 200 OK\r\nA b\r\n\r\n");
	expect_garbage("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n");
	expect_garbage("HTTP/1.1 099 x\r\n\r\n");
	(void)snprintf(large, sizeof(large), "HTTP/1.1 200 OK\r\nA: ");
	memset(large + strlen(large), 'a', sizeof(large) - strlen(large));
	assert_int_equal(answer_feed(large, sizeof(large), sizeof(large), &status, &rest),
			 HTTP_REFUSED);
	assert_int_equal(answer_feed(large, sizeof(large), 1000, &status, &rest), HTTP_REFUSED);
}

static enum http_verdict request_feed(struct tunnel_request *request, const char *text, size_t part,
				      size_t *ret_rest)
{
	size_t done = 0, size = strlen(text), used;

	tunnel_request_init(request);
	while (done < size) {
		size_t piece = size - done < part ? size - done : part;
		enum http_verdict verdict = tunnel_request_feed(request, text + done, piece, &used);

		if (verdict == HTTP_COMPLETE)
			*ret_rest = done + used;
		if (verdict != HTTP_MORE)
			return verdict;
		done += piece;
	}
	return HTTP_MORE;
}

static void test_request_round_trip(void **state)
{
	struct endpoint source, destination;
	struct hints hints = {.kind = HINTS_HOST, .name = "example.com"};
	struct tunnel_request *request = malloc(sizeof(*request));
	char text[TUNNEL_REQUEST_MAX + 4];
	size_t length, part, rest = 0;

	(void)state;
	length = tunnel_request_format(text, at(&source, "10.0.0.2:4000"),
				       at(&destination, "1.1.1.1:80"), &hints);
	(void)strcat(text, "rest");
	for (part = 1; part <= length + 4; part++) {
		assert_int_equal(request_feed(request, text, part, &rest), HTTP_COMPLETE);
		assert_int_equal(rest, length);
		assert_string_equal(tunnel_request_value(request, TUNNEL_TARGET), "1.1.1.1:80");
		assert_string_equal(tunnel_request_value(request, TUNNEL_HOST), "1.1.1.1:80");
		assert_string_equal(tunnel_request_value(request, TUNNEL_HOSTNAME), "example.com");
		assert_string_equal(tunnel_request_value(request, TUNNEL_SNI), "");
		assert_string_equal(tunnel_request_value(request, TUNNEL_PROTO), "tcp");
		assert_string_equal(tunnel_request_value(request, TUNNEL_FORWARDED_FOR),
				    "10.0.0.2:4000");
		assert_string_equal(tunnel_request_value(request, TUNNEL_USER_AGENT),
				    "proxy-everything/0.0.1/10.0.0.2:4000");
	}
	free(request);
}

static void test_request_garbage(void **state)
{
	static const char *const requests[] = {
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT a:1 HTTP/1.1\r\n\r\n",
		"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nHost: a:1\r\n\r\n",
		"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nX: y\r\n z\r\n\r\n",
		"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nX : y\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01",
	};
	struct tunnel_request *request = malloc(sizeof(*request));
	char too_long[TUNNEL_VALUE_MAX + 96];
	size_t i, rest;

	(void)state;
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		assert_int_equal(request_feed(request, requests[i], 1, &rest), HTTP_REFUSED);
		assert_int_equal(request_feed(request, requests[i], 1000, &rest), HTTP_REFUSED);
	}
	(void)snprintf(too_long, sizeof(too_long),
		       "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nX-Proto: %0*d\r\n\r\n",
		       TUNNEL_VALUE_MAX, 0);
	assert_int_equal(request_feed(request, too_long, 1000, &rest), HTTP_REFUSED);
	assert_string_equal(request->head.reason, "a value is longer than 319 characters");
	free(request);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_format),	   cmocka_unit_test(test_answers),
		cmocka_unit_test(test_answer_content),	   cmocka_unit_test(test_answer_garbage),
		cmocka_unit_test(test_request_round_trip), cmocka_unit_test(test_request_garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
