// SPDX-License-Identifier: Apache-2.0
/* Tests the parser of control requests. Each request is fed in pieces of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/control_request.h"

/* Feeds @text in pieces of at most @step bytes. @ret_used counts the bytes used in all. */
static enum http_verdict feed(struct control_request *request, const char *text, size_t size,
			      size_t step, size_t *ret_used)
{
	enum http_verdict verdict = HTTP_MORE;
	size_t begin = 0, used = 0;

	while (begin < size && verdict == HTTP_MORE) {
		size_t piece = step < size - begin ? step : size - begin;
		/* A copy of the piece alone shows the sanitizer a read behind its end. */
		char *copy = malloc(piece);

		memcpy(copy, text + begin, piece);
		verdict = control_request_feed(request, copy, piece, &used);
		free(copy);
		*ret_used = begin + used;
		begin += piece;
	}
	return verdict;
}

static void expect_refused(const char *text, unsigned int status, const char *reason)
{
	size_t step, size = strlen(text), used;

	for (step = 1; step <= size; step++) {
		struct control_request request;

		control_request_init(&request);
		assert_int_equal(feed(&request, text, size, step, &used), HTTP_REFUSED);
		assert_int_equal(request.head.status, status);
		if (reason)
			assert_non_null(strstr(request.head.reason, reason));
		control_request_clear(&request);
	}
}

/* @rest: the bytes behind the request. */
static void expect_complete(const char *text, llhttp_method_t method, const char *path,
			    const char *body, const char *rest)
{
	size_t step, size = strlen(text), used = 0;
	char have[CONTROL_VALUE_MAX];

	for (step = 1; step <= size; step++) {
		struct control_request request;

		control_request_init(&request);
		assert_int_equal(feed(&request, text, size, step, &used), HTTP_COMPLETE);
		assert_int_equal(control_request_method(&request), method);
		assert_string_equal(control_request_path(&request, have), path);
		assert_int_equal(request.body_size, strlen(body));
		if (request.body_size > 0)
			assert_memory_equal(request.body, body, request.body_size);
		assert_string_equal(text + used, rest);
		control_request_clear(&request);
	}
}

static void requests_are_read(void **state)
{
	(void)state;
	expect_complete("GET /ca HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_GET, "/ca", "", "");
	expect_complete("GET /ca HTTP/1.0\r\n\r\n", HTTP_GET, "/ca", "", "");
	expect_complete("GET http://a:1/ca?x=y HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_GET, "/ca", "",
			"");
	expect_complete("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", HTTP_GET, "", "", "");
	expect_complete("PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", HTTP_PUT,
			"/egress", "{}", "");
	expect_complete("PUT /egress HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}GET /", HTTP_PUT,
			"/egress", "{}", "GET /");
	expect_complete("PUT /egress HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked \r\n\r\n"
			"1;x=y\r\n{\r\n001\r\n}\r\n0\r\nHost: b\r\n\r\nmore",
			HTTP_PUT, "/egress", "{}", "more");
	expect_complete("PUT /egress HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n"
			"Content-Length: 2\r\n\r\n{}",
			HTTP_PUT, "/egress", "{}", "");
	expect_complete(
		"GET /ca HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
		HTTP_GET, "/ca", "", "");
}

static void pipelined_request_is_left_alone(void **state)
{
	(void)state;
	expect_complete("GET /ca HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
			HTTP_GET, "/ca", "", "GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void connect_ends_with_its_head(void **state)
{
	static const char text[] =
		"CONNECT unused:1 HTTP/1.1\r\nx-dst-addr:  [::1]:80 \r\n\r\n\x16\x03";
	struct control_request request;
	size_t used;

	(void)state;
	/* workerd sends no Host. */
	expect_complete(
		"CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: 127.0.0.1:80\r\n\r\nGET / HTTP/1.1\r\n",
		HTTP_CONNECT, "a:1", "", "GET / HTTP/1.1\r\n");
	control_request_init(&request);
	assert_int_equal(feed(&request, text, sizeof(text) - 1, sizeof(text), &used),
			 HTTP_COMPLETE);
	assert_string_equal(request.text[CONTROL_DESTINATION], "[::1]:80");
	assert_int_equal(request.value[CONTROL_DESTINATION].count, 1);
	control_request_clear(&request);
}

static void ambiguity_is_refused(void **state)
{
	(void)state;
	expect_refused("GET /ca HTTP/1.1\r\n\r\n", 400, "Host");
	expect_refused("GET /ca HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400, "more than one Host");
	expect_refused("GET /ca HTTP/1.1\r\nHost: a\r\nX-Y: a\r\n b\r\n\r\n", 400, NULL);
	expect_refused("GET /ca HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n", 400, NULL);
	expect_refused(
		"CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: 1.1.1.1:1\r\nX-Dst-Addr: 1.1.1.1:1\r\n\r\n",
		400, "more than one X-Dst-Addr");
	expect_refused("CONNECT a:1 HTTP/1.1\r\nContent-Length: 1\r\n\r\n", 400, "no body");
	expect_refused("PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
		       "Transfer-Encoding: chunked\r\n\r\n",
		       400, NULL);
	expect_refused("PUT /egress HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
		       "Content-Length: 2\r\n\r\n",
		       400, NULL);
	expect_refused("PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
		       "Content-Length: 2\r\n\r\n",
		       400, NULL);
	expect_refused(
		"PUT /egress HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501,
		"Transfer-Encoding");
	expect_refused("PUT /egress HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501,
		       "Transfer-Encoding");
	expect_refused("PUT /egress HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
		       "Transfer-Encoding: chunked\r\n\r\n",
		       400, NULL);
	expect_refused("PUT /egress HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
		       "HTTP/1.0");
}

static void what_is_not_http_is_refused(void **state)
{
	(void)state;
	expect_refused("\x16\x03\x01\x02\x01", 400, NULL);
	expect_refused("GET /ca\r\n\r\n", 505, NULL);
	expect_refused("GET /ca HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP/1.1");
	expect_refused("GET /ca HTTP/0.9\r\nHost: a\r\n\r\n", 505, "HTTP/1.1");
	expect_refused("GET /ca HTTP/1.1\nHost: a\n\n", 400, NULL);
	expect_refused("GET /ca HTTP/1.1\r\nHost : a\r\n\r\n", 400, NULL);
	expect_refused("PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, NULL);
	expect_refused("PUT /egress HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417, "Expect");
}

static void continue_is_asked_for_once(void **state)
{
	static const char head[] = "PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
				   "Expect: 100-Continue\r\n\r\n";
	struct control_request request;
	size_t used;

	(void)state;
	control_request_init(&request);
	assert_int_equal(control_request_feed(&request, head, sizeof(head) - 1, &used), HTTP_MORE);
	assert_true(request.continue_due);
	request.continue_due = false;
	assert_int_equal(control_request_feed(&request, "{}", 2, &used), HTTP_COMPLETE);
	assert_false(request.continue_due);
	control_request_clear(&request);
}

static void heads_are_limited(void **state)
{
	size_t room = HTTP_HEAD_MAX, size, used;
	char *text = malloc(room + 64);
	size_t extra;

	(void)state;
	for (extra = 0; extra < 2; extra++) {
		struct control_request request;
		size_t begin = (size_t)sprintf(text, "GET /ca HTTP/1.1\r\nHost: a\r\nX-Fill: ");

		memset(text + begin, 'x', room);
		size = room + extra;
		memcpy(text + size - 4, "\r\n\r\n", 4);
		control_request_init(&request);
		if (extra == 0) {
			assert_int_equal(feed(&request, text, size, 4096, &used), HTTP_COMPLETE);
		} else {
			assert_int_equal(feed(&request, text, size, 4096, &used), HTTP_REFUSED);
			assert_int_equal(request.head.status, 431);
		}
		control_request_clear(&request);
	}
	free(text);
	/* A value that is kept is never cut silently. */
	expect_refused("CONNECT a:1 HTTP/1.1\r\nX-Dst-Addr: "
		       "00000000000000000000000000000000000000000000000000000000000000000000000000"
		       "00000000000000000000000000000000000000000000000000000000000000000000000000"
		       "\r\n\r\n",
		       400, "longer");
}

static void bodies_are_limited(void **state)
{
	static char data[CONTROL_BODY_MAX + 1];
	struct control_request request;
	char head[128];
	size_t used, sent;
	int extra;

	(void)state;
	expect_refused("PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n", 413,
		       "64 KiB");
	expect_refused("PUT /egress HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n"
		       "\r\n",
		       400, NULL);
	for (extra = 0; extra < 2; extra++) {
		int size = sprintf(head,
				   "PUT /egress HTTP/1.1\r\nHost: a\r\n"
				   "Transfer-Encoding: chunked\r\n\r\n%x\r\n",
				   CONTROL_BODY_MAX + extra);

		control_request_init(&request);
		assert_int_equal(control_request_feed(&request, head, (size_t)size, &used),
				 HTTP_MORE);
		memset(data, 'x', sizeof(data));
		assert_int_equal(control_request_feed(&request, data,
						      (size_t)CONTROL_BODY_MAX + (size_t)extra,
						      &used),
				 extra ? HTTP_REFUSED : HTTP_MORE);
		assert_int_equal(request.head.status, extra ? 413 : 0);
		if (!extra)
			assert_int_equal(control_request_feed(&request, "\r\n0\r\n\r\n", 7, &used),
					 HTTP_COMPLETE);
		control_request_clear(&request);
	}
	/* The framing of a small body is limited, too. */
	control_request_init(&request);
	(void)control_request_feed(&request, head, (size_t)(strchr(head, '\n') - head + 1), &used);
	(void)control_request_feed(&request, "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n", 39,
				   &used);
	for (sent = 0; sent <= CONTROL_WIRE_MAX && request.head.status == 0; sent += 11)
		(void)control_request_feed(&request, "1;abcd\r\nx\r\n", 11, &used);
	assert_int_equal(request.head.status, 413);
	assert_true(request.body_size < CONTROL_BODY_MAX);
	control_request_clear(&request);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_read),
		cmocka_unit_test(pipelined_request_is_left_alone),
		cmocka_unit_test(connect_ends_with_its_head),
		cmocka_unit_test(ambiguity_is_refused),
		cmocka_unit_test(what_is_not_http_is_refused),
		cmocka_unit_test(continue_is_asked_for_once),
		cmocka_unit_test(heads_are_limited),
		cmocka_unit_test(bodies_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
