// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/hints.h"

struct bytes {
	uint8_t data[70000];
	size_t size;
};

static void put(struct bytes *bytes, size_t number, size_t width)
{
	while (width-- > 0)
		bytes->data[bytes->size++] = (uint8_t)(number >> (width * 8));
}

static void put_text(struct bytes *bytes, const char *text, size_t size)
{
	memcpy(bytes->data + bytes->size, text, size);
	bytes->size += size;
}

/* Makes a ClientHello with @padding bytes in an extension in front of the server name. */
static void hello_make(struct bytes *hello, const char *name, size_t padding)
{
	size_t size = name ? strlen(name) : 0;
	size_t extensions = (padding ? 4 + padding : 0) + (name ? 9 + size : 0);

	hello->size = 0;
	put(hello, 1, 1);
	put(hello, 2 + 32 + 1 + 32 + 2 + 4 + 2 + 2 + extensions, 3);
	put(hello, 0x0303, 2);
	hello->size += 32;
	put(hello, 32, 1);
	hello->size += 32;
	put(hello, 4, 2);
	put(hello, 0x13011302, 4);
	put(hello, 0x0100, 2);
	put(hello, extensions, 2);
	if (padding) {
		put(hello, 21, 2);
		put(hello, padding, 2);
		memset(hello->data + hello->size, 0, padding);
		hello->size += padding;
	}
	if (!name)
		return;
	put(hello, 0, 2);
	put(hello, size + 5, 2);
	put(hello, size + 3, 2);
	put(hello, 0, 1);
	put(hello, size, 2);
	put_text(hello, name, size);
}

/* Splits the message into records of @part bytes. */
static void records_make(struct bytes *records, const struct bytes *hello, size_t part)
{
	size_t done;

	records->size = 0;
	for (done = 0; done < hello->size; done += part) {
		size_t size = hello->size - done < part ? hello->size - done : part;

		put(records, 22, 1);
		put(records, 0x0301, 2);
		put(records, size, 2);
		put_text(records, (const char *)hello->data + done, size);
	}
}

static bool feed_at_once(struct hints *hints, const struct bytes *bytes)
{
	hints_init(hints, true, true);
	return hints_feed(hints, bytes->data, bytes->size);
}

static void test_sni_every_split(void **state)
{
	static struct bytes hello, records;
	struct hints hints;
	size_t split, part;

	(void)state;
	hello_make(&hello, "www.example.com", 0);
	for (part = 1; part < 40; part += 3) {
		records_make(&records, &hello, part);
		for (split = 1; split < records.size; split++) {
			hints_init(&hints, true, false);
			assert_false(hints_feed(&hints, records.data, split));
			assert_true(hints_feed(&hints, records.data, records.size));
			assert_int_equal(hints.kind, HINTS_SNI);
			assert_string_equal(hints.name, "www.example.com");
		}
	}
}

static void test_sni_byte_by_byte(void **state)
{
	static struct bytes hello, records;
	struct hints hints;
	size_t size;

	(void)state;
	hello_make(&hello, "a.example", 17000);
	records_make(&records, &hello, 16384);
	hints_init(&hints, true, false);
	for (size = 1; size < records.size; size++)
		assert_false(hints_feed(&hints, records.data, size));
	assert_true(hints_feed(&hints, records.data, records.size));
	assert_string_equal(hints.name, "a.example");
}

static void test_sni_with_early_data_behind(void **state)
{
	static struct bytes hello, records;
	struct hints hints;

	(void)state;
	hello_make(&hello, "a.example", 0);
	records_make(&records, &hello, 16384);
	put(&records, 0x1403030001, 5);
	put(&records, 0x01, 1);
	put(&records, 0x1703030100, 5);
	assert_true(feed_at_once(&hints, &records));
	assert_int_equal(hints.kind, HINTS_SNI);
	assert_string_equal(hints.name, "a.example");
}

static void test_sni_sizes(void **state)
{
	static struct bytes hello, records;
	struct hints hints;

	(void)state;
	hello_make(&hello, "big.example", 16000);
	records_make(&records, &hello, 4096);
	assert_true(feed_at_once(&hints, &records));
	assert_string_equal(hints.name, "big.example");
	hello_make(&hello, "bigger.example", 64000);
	records_make(&records, &hello, 16384);
	assert_true(feed_at_once(&hints, &records));
	assert_string_equal(hints.name, "bigger.example");
	/* A message longer than 64 KiB ends the search at once. */
	put(&records, 0, 4);
	records.size = 0;
	put(&records, 0x1603014000, 5);
	put(&records, 0x01020000, 4);
	assert_true(feed_at_once(&hints, &records));
	assert_int_equal(hints.kind, HINTS_NONE);
}

static void expect_no_sni(const char *name, size_t size)
{
	static struct bytes hello, records;
	struct hints hints;
	char text[300];
	size_t i;

	memset(text, 'x', sizeof(text));
	text[size] = '\0';
	hello_make(&hello, text, 0);
	for (i = 0; i < size; i++)
		hello.data[hello.size - size + i] = (uint8_t)name[i];
	records_make(&records, &hello, 16384);
	assert_true(feed_at_once(&hints, &records));
	assert_int_equal(hints.kind, HINTS_NONE);
}

static void test_sni_unsafe(void **state)
{
	static struct bytes hello, records;
	struct hints hints;
	char too_long[256];

	(void)state;
	expect_no_sni("a\r\nX: y", 7);
	expect_no_sni("a b", 3);
	expect_no_sni("a\0b", 3);
	expect_no_sni("", 0);
	expect_no_sni("a:80", 4);
	expect_no_sni("\xff\xfe", 2);
	memset(too_long, 'a', sizeof(too_long));
	expect_no_sni(too_long, 256);
	hello_make(&hello, NULL, 0);
	records_make(&records, &hello, 16384);
	assert_true(feed_at_once(&hints, &records));
	assert_int_equal(hints.kind, HINTS_NONE);
}

/* Flipped and random bytes must not cause a fault (ASan). */
static void test_sni_garbage(void **state)
{
	static struct bytes hello, records;
	struct hints hints;
	uint8_t *exact;
	size_t i;

	(void)state;
	srand(1);
	hello_make(&hello, "www.example.com", 20);
	records_make(&records, &hello, 50);
	for (i = 0; i < records.size; i++) {
		int bit;

		for (bit = 0; bit < 8; bit++) {
			exact = malloc(records.size);
			memcpy(exact, records.data, records.size);
			exact[i] ^= (uint8_t)(1 << bit);
			hints_init(&hints, true, true);
			(void)hints_feed(&hints, exact, records.size);
			free(exact);
		}
	}
	for (i = 0; i < 20000; i++) {
		size_t size = 1 + (size_t)rand() % 200, j;

		exact = malloc(size);
		for (j = 0; j < size; j++)
			exact[j] = (uint8_t)rand();
		exact[0] = 22;
		if (size > 5 && i % 2) {
			memcpy(exact, "\x16\x03\x01\x00\x20\x01\x00\x00", size < 8 ? size : 8);
		}
		hints_init(&hints, true, false);
		for (j = 1; j <= size; j += 7)
			if (hints_feed(&hints, exact, j))
				break;
		free(exact);
	}
}

static void expect_host(const char *request, const char *name)
{
	struct hints hints;
	size_t split, size = strlen(request);

	for (split = 1; split <= size; split++) {
		hints_init(&hints, false, true);
		if (!hints_feed(&hints, (const uint8_t *)request, split))
			(void)hints_feed(&hints, (const uint8_t *)request, size);
		if (name) {
			assert_int_equal(hints.kind, HINTS_HOST);
			assert_string_equal(hints.name, name);
		} else {
			assert_int_equal(hints.kind, HINTS_NONE);
		}
	}
}

static void test_host(void **state)
{
	(void)state;
	expect_host("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", "example.com");
	expect_host("GET / HTTP/1.1\r\nA: b\r\nhOsT:   example.com:8080  \r\nC: d\r\n\r\n",
		    "example.com:8080");
	expect_host("POST /x HTTP/1.1\r\nHost: [2001:db8::1]:80\r\nContent-Length: 3\r\n\r\nabc",
		    "[2001:db8::1]:80");
	expect_host("GET / HTTP/1.1\r\nHostess: a\r\nXHost: b\r\nHos: c\r\n\r\n", NULL);
	expect_host("GET / HTTP/1.0\r\n\r\n", NULL);
	expect_host("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", NULL);
	expect_host("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", NULL);
	expect_host("GET / HTTP/1.1\r\nHost: a\"b\r\n\r\n", NULL);
	expect_host("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", NULL);
	expect_host("GET / HTTP/1.1\r\nHost:\r\n\r\n", NULL);
	expect_host("GET http://other.example/ HTTP/1.1\r\nHost: a\r\n\r\n", NULL);
	expect_host("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NULL);
	expect_host("SSH-2.0-OpenSSH\r\n", NULL);
}

/* A ClientHello makes the proxy terminate TLS, even if the name is missing or not yet there. */
static void test_hello(void **state)
{
	static struct bytes hello, records;
	struct hints hints;
	size_t size;

	(void)state;
	hello_make(&hello, NULL, 16000);
	records_make(&records, &hello, 5000);
	hints_init(&hints, true, true);
	for (size = 1; size <= records.size; size++) {
		assert_int_equal(hints_feed(&hints, records.data, size), size == records.size);
		assert_true(hints.hello);
	}
	assert_int_equal(hints.kind, HINTS_NONE);
	hints_init(&hints, true, false);
	(void)hints_feed(&hints, (const uint8_t *)"\x16\x02", 2);
	assert_false(hints.hello);
	hints_init(&hints, true, false);
	(void)hints_feed(&hints, (const uint8_t *)"\x16\x03\x01\x00\x10\x02", 6);
	assert_false(hints.hello);
	hints_init(&hints, true, false);
	(void)hints_feed(&hints, (const uint8_t *)"SSH-2.0", 7);
	assert_false(hints.hello);
	/* A record in the middle has another type. */
	hello_make(&hello, "a.example", 0);
	records_make(&records, &hello, 20);
	records.data[25] = 23;
	hints_init(&hints, true, false);
	assert_true(hints_feed(&hints, records.data, records.size));
	assert_false(hints.hello);
}

static void test_host_incomplete(void **state)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: example.com\r\n";
	struct hints hints;

	(void)state;
	hints_init(&hints, false, true);
	assert_false(hints_feed(&hints, (const uint8_t *)text, sizeof(text) - 1));
	assert_int_equal(hints.kind, HINTS_NONE);
}

static void test_first_byte_decides(void **state)
{
	struct hints hints;

	(void)state;
	hints_init(&hints, true, false);
	assert_false(hints_feed(&hints, NULL, 0));
	assert_true(hints_feed(&hints, (const uint8_t *)"G", 1));
	hints_init(&hints, false, true);
	assert_true(hints_feed(&hints, (const uint8_t *)"\x16", 1));
	hints_init(&hints, true, true);
	assert_false(hints_feed(&hints, (const uint8_t *)"G", 1));
	hints_init(&hints, true, true);
	assert_false(hints_feed(&hints, (const uint8_t *)"\x16", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sni_every_split),
		cmocka_unit_test(test_sni_byte_by_byte),
		cmocka_unit_test(test_sni_with_early_data_behind),
		cmocka_unit_test(test_sni_sizes),
		cmocka_unit_test(test_sni_unsafe),
		cmocka_unit_test(test_sni_garbage),
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_host_incomplete),
		cmocka_unit_test(test_first_byte_decides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
