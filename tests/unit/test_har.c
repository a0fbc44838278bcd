// SPDX-License-Identifier: Apache-2.0
/* Tests the HTTP archive: pairs of requests and answers, however their bytes are cut. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capture/har.h"
#include "tls/tls_tap.h"

#define ID	 7
#define BEGIN_US UINT64_C(1700000000123456)

struct archive {
	char *text;
	size_t size;
	FILE *file;
	struct har *har;
	json_t *json;
};

static void begin(struct archive *archive)
{
	archive->file = open_memstream(&archive->text, &archive->size);
	assert_non_null(archive->file);
	archive->har = har_new(archive->file);
	assert_non_null(archive->har);
	har_open(archive->har, ID, "name.example");
}

/* Completes the archive. Returns its entries. */
static json_t *end(struct archive *archive)
{
	json_error_t error;

	assert_int_equal(har_free(archive->har), 0);
	assert_int_equal(fclose(archive->file), 0);
	archive->json = json_loads(archive->text, 0, &error);
	if (!archive->json)
		fail_msg("%s in: %s", error.text, archive->text);
	free(archive->text);
	return json_object_get(json_object_get(archive->json, "log"), "entries");
}

static void feed(struct archive *archive, enum tls_tap_direction direction, uint64_t after_us,
		 const char *text)
{
	har_data(archive->har, ID, direction, BEGIN_US + after_us, text, strlen(text));
}

static const char *string_in(json_t *object, const char *outer, const char *inner)
{
	return json_string_value(json_object_get(json_object_get(object, outer), inner));
}

static json_int_t number_in(json_t *object, const char *outer, const char *inner)
{
	return json_integer_value(json_object_get(json_object_get(object, outer), inner));
}

static void assert_exchange(json_t *entry, const char *url, json_int_t status)
{
	assert_string_equal(string_in(entry, "request", "url"), url);
	assert_int_equal(number_in(entry, "response", "status"), status);
}

static void test_pairs_and_times(void **state)
{
	struct archive archive;
	json_t *entries, *entry;

	(void)state;
	begin(&archive);
	feed(&archive, TLS_TAP_FROM_APPLICATION, 0, "GET /a HTTP/1.1\r\nHost: x.exa");
	feed(&archive, TLS_TAP_FROM_APPLICATION, 1000, "mple\r\n\r\n");
	feed(&archive, TLS_TAP_TO_APPLICATION, 5000, "HTTP/1.1 204 Gone\r\n\r\n");
	entries = end(&archive);
	assert_int_equal(json_array_size(entries), 1);
	entry = json_array_get(entries, 0);
	assert_exchange(entry, "https://x.example/a", 204);
	assert_string_equal(json_string_value(json_object_get(entry, "startedDateTime")),
			    "2023-11-14T22:13:20.123456Z");
	assert_true(json_real_value(json_object_get(entry, "time")) == 5.0);
	assert_true(json_real_value(json_object_get(json_object_get(entry, "timings"), "wait")) ==
		    4.0);
	/* They are the program's own. */
	assert_null(json_object_get(entry, "begin"));
	json_decref(archive.json);
}

static void test_pipelined_requests_keep_their_order(void **state)
{
	struct archive archive;
	json_t *entries;

	(void)state;
	begin(&archive);
	feed(&archive, TLS_TAP_FROM_APPLICATION, 0,
	     "GET /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n");
	feed(&archive, TLS_TAP_TO_APPLICATION, 1,
	     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	     "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
	     "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
	entries = end(&archive);
	assert_int_equal(json_array_size(entries), 3);
	/* Without a field Host it is the name of the TLS connection. */
	assert_exchange(json_array_get(entries, 0), "https://name.example/1", 200);
	assert_exchange(json_array_get(entries, 1), "https://name.example/2", 200);
	assert_exchange(json_array_get(entries, 2), "https://name.example/3", 404);
	assert_string_equal(
		json_string_value(json_object_get(
			json_object_get(json_object_get(json_array_get(entries, 2), "response"),
					"content"),
			"text")),
		"abc");
	json_decref(archive.json);
}

static void test_an_answer_ends_with_the_connection(void **state)
{
	struct archive archive;
	json_t *entries;

	(void)state;
	begin(&archive);
	feed(&archive, TLS_TAP_FROM_APPLICATION, 0, "GET / HTTP/1.0\r\n\r\n");
	feed(&archive, TLS_TAP_TO_APPLICATION, 1, "HTTP/1.0 200 OK\r\n\r\nuntil the end");
	har_close(archive.har, ID, BEGIN_US + 9);
	entries = end(&archive);
	assert_int_equal(json_array_size(entries), 1);
	assert_int_equal(number_in(json_array_get(entries, 0), "response", "bodySize"), 13);
	json_decref(archive.json);
}

static void test_another_protocol_is_left_out(void **state)
{
	struct archive archive;

	(void)state;
	begin(&archive);
	feed(&archive, TLS_TAP_FROM_APPLICATION, 0, "\x01\x02 hello\n");
	feed(&archive, TLS_TAP_TO_APPLICATION, 1, "250 ok\r\n");
	/* Nobody has opened this one. */
	har_data(archive.har, ID + 1, TLS_TAP_FROM_APPLICATION, BEGIN_US, "GET", 3);
	assert_int_equal(json_array_size(end(&archive)), 0);
	json_decref(archive.json);
}

static void test_an_upgrade_is_the_last_entry(void **state)
{
	struct archive archive;
	json_t *entries;

	(void)state;
	begin(&archive);
	feed(&archive, TLS_TAP_FROM_APPLICATION, 0,
	     "GET /chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	feed(&archive, TLS_TAP_TO_APPLICATION, 1,
	     "HTTP/1.1 101 Switch\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi");
	feed(&archive, TLS_TAP_FROM_APPLICATION, 2, "\x81\x82....");
	entries = end(&archive);
	assert_int_equal(json_array_size(entries), 1);
	assert_exchange(json_array_get(entries, 0), "https://name.example/chat", 101);
	json_decref(archive.json);
}

static void test_bodies_are_bounded_and_any_bytes_are_text(void **state)
{
	struct archive archive;
	json_t *entries, *content;
	char *body = malloc(2 << 20);
	int i;

	(void)state;
	assert_non_null(body);
	memset(body, 'x', 1 << 20);
	begin(&archive);
	feed(&archive, TLS_TAP_FROM_APPLICATION, 0, "GET / HTTP/1.1\r\nX: caf\xe9\r\n\r\n");
	feed(&archive, TLS_TAP_TO_APPLICATION, 1,
	     "HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n");
	for (i = 0; i < 3; i++)
		har_data(archive.har, ID, TLS_TAP_TO_APPLICATION, BEGIN_US + 2, body, 1 << 20);
	free(body);
	entries = end(&archive);
	assert_int_equal(json_array_size(entries), 1);
	content = json_object_get(json_object_get(json_array_get(entries, 0), "response"),
				  "content");
	assert_int_equal(json_integer_value(json_object_get(content, "size")), 3 << 20);
	assert_int_equal(json_string_length(json_object_get(content, "text")), 1 << 20);
	assert_string_equal(
		json_string_value(json_object_get(
			json_array_get(json_object_get(json_object_get(json_array_get(entries, 0),
								       "request"),
						       "headers"),
				       0),
			"value")),
		"caf\xc3\xa9");
	json_decref(archive.json);
}

/* The fields that the archive demands are there, whatever bytes a server sends in them. */
static void test_fields_of_any_bytes(void **state)
{
	struct archive archive;
	json_t *entries;

	(void)state;
	begin(&archive);
	feed(&archive, TLS_TAP_FROM_APPLICATION, 0,
	     "POST / HTTP/1.1\r\nContent-Type: a/\xe9\r\nContent-Length: 1\r\n\r\nx");
	feed(&archive, TLS_TAP_TO_APPLICATION, 1,
	     "HTTP/1.1 302 \xe9\r\nLocation: /\xe9\r\nContent-Type: b/\xe9\r\n"
	     "Content-Length: 0\r\n\r\n");
	entries = end(&archive);
	assert_int_equal(json_array_size(entries), 1);
	assert_exchange(json_array_get(entries, 0), "https://name.example/", 302);
	assert_string_equal(string_in(json_array_get(entries, 0), "response", "redirectURL"),
			    "/\xc3\xa9");
	assert_string_equal(string_in(json_object_get(json_array_get(entries, 0), "request"),
				      "postData", "mimeType"),
			    "a/\xc3\xa9");
	assert_string_equal(string_in(json_object_get(json_array_get(entries, 0), "response"),
				      "content", "mimeType"),
			    "b/\xc3\xa9");
	json_decref(archive.json);
}

static void feed_other(struct archive *archive, uint64_t id, const char *path)
{
	char text[64];

	har_open(archive->har, id, "other.example");
	(void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n\r\n", path);
	har_data(archive->har, id, TLS_TAP_FROM_APPLICATION, BEGIN_US, text, strlen(text));
	(void)snprintf(text, sizeof(text), "HTTP/1.1 204 No\r\n\r\n");
	har_data(archive->har, id, TLS_TAP_TO_APPLICATION, BEGIN_US, text, strlen(text));
}

/* A head without an end, and one of many short fields. */
static void test_heads_are_bounded(void **state)
{
	static const char *const parts[] = {"xxxxxxxx", "a:b\r\n"};
	struct archive archive;
	json_t *entries;
	size_t i, sent;

	(void)state;
	begin(&archive);
	for (i = 0; i < 2; i++) {
		har_open(archive.har, ID, "name.example");
		feed(&archive, TLS_TAP_FROM_APPLICATION, 0, "GET / HTTP/1.1\r\nX: ");
		for (sent = 0; sent <= 256 << 10; sent += strlen(parts[i]))
			feed(&archive, TLS_TAP_FROM_APPLICATION, 0, parts[i]);
		feed(&archive, TLS_TAP_FROM_APPLICATION, 0, "\r\n\r\n");
		feed(&archive, TLS_TAP_TO_APPLICATION, 1, "HTTP/1.1 204 No\r\n\r\n");
	}
	feed_other(&archive, 1000, "/after");
	entries = end(&archive);
	assert_int_equal(json_array_size(entries), 1);
	assert_exchange(json_array_get(entries, 0), "https://other.example/after", 204);
	json_decref(archive.json);
}

/* Requests that nobody answers: many of a connection, and many connections with bodies. */
static void test_waiting_requests_are_bounded(void **state)
{
	static char body[1 << 20];
	struct archive archive;
	json_t *entries;
	uint64_t i;

	(void)state;
	memset(body, 'x', sizeof(body));
	begin(&archive);
	for (i = 0; i < 100; i++)
		feed(&archive, TLS_TAP_FROM_APPLICATION, 0, "GET / HTTP/1.1\r\n\r\n");
	for (i = 0; i < 100; i++)
		feed(&archive, TLS_TAP_TO_APPLICATION, 1, "HTTP/1.1 204 No\r\n\r\n");
	for (i = 1; i <= 70; i++) {
		static const char head[] = "POST / HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n";

		har_open(archive.har, 100 + i, "name.example");
		har_data(archive.har, 100 + i, TLS_TAP_FROM_APPLICATION, BEGIN_US, head,
			 strlen(head));
		har_data(archive.har, 100 + i, TLS_TAP_FROM_APPLICATION, BEGIN_US, body,
			 sizeof(body));
	}
	/* Those that were kept are answered, and there is room again. */
	for (i = 1; i <= 70; i++) {
		static const char answer[] = "HTTP/1.1 204 No\r\n\r\n";

		har_data(archive.har, 100 + i, TLS_TAP_TO_APPLICATION, BEGIN_US, answer,
			 strlen(answer));
	}
	feed_other(&archive, 1000, "/after");
	entries = end(&archive);
	assert_int_equal(json_array_size(entries), 64);
	assert_exchange(json_array_get(entries, 63), "https://other.example/after", 204);
	json_decref(archive.json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs_and_times),
		cmocka_unit_test(test_pipelined_requests_keep_their_order),
		cmocka_unit_test(test_an_answer_ends_with_the_connection),
		cmocka_unit_test(test_another_protocol_is_left_out),
		cmocka_unit_test(test_an_upgrade_is_the_last_entry),
		cmocka_unit_test(test_bodies_are_bounded_and_any_bytes_are_text),
		cmocka_unit_test(test_fields_of_any_bytes),
		cmocka_unit_test(test_heads_are_bounded),
		cmocka_unit_test(test_waiting_requests_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
