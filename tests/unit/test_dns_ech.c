// SPDX-License-Identifier: Apache-2.0
/* Tests how Encrypted Client Hello is taken out of DNS answers. ldns reads the results. */
#include <ldns/ldns.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/util.h"
#include "proto/dns_ech.h"

/* NOERROR with AD, and the question a.test HTTPS. Then come the records. */
static const uint8_t head[] = {0x12, 0x34, 0x81, 0xa0, 0,   1,	 0,   0, 0, 0,	0, 0,
			       1,    'a',  4,	 't',  'e', 's', 't', 0, 0, 65, 0, 1};

#define HEADER 12
#define AD     0x20

struct message {
	uint8_t bytes[2048];
	size_t size;
};

static void begin(struct message *message)
{
	memcpy(message->bytes, head, sizeof(head));
	message->size = sizeof(head);
}

/* Adds a record of a.test to the section whose count is at @section. */
static void add(struct message *message, int section, uint8_t type, const void *data, uint8_t size)
{
	const uint8_t fixed[] = {0xc0, HEADER, 0, type, 0, 1, 0, 0, 1, 0, 0, size};

	message->bytes[section + 1]++;
	memcpy(message->bytes + message->size, fixed, sizeof(fixed));
	memcpy(message->bytes + message->size + sizeof(fixed), data, size);
	message->size += sizeof(fixed) + size;
}

/* Runs it on a copy of the exact size, for ASan. */
static bool remove_ech(struct message *message)
{
	void *exact = malloc(message->size ? message->size : 1);
	bool found;

	memcpy(exact, message->bytes, message->size);
	found = dns_ech_remove(exact, message->size);
	memcpy(message->bytes, exact, message->size);
	free(exact);
	return found;
}

/* Wants one HTTPS record with @before to become one with @after. */
static void expect(const char *what, const void *before, const void *after, uint8_t size)
{
	struct message message, wanted;

	begin(&message);
	begin(&wanted);
	add(&message, 6, 65, before, size);
	add(&wanted, 6, 65, after, size);
	if (memcmp(before, after, size) != 0)
		wanted.bytes[3] &= (uint8_t)~AD;
	assert_int_equal(remove_ech(&message), memcmp(before, after, size) != 0);
	if (memcmp(message.bytes, wanted.bytes, wanted.size) != 0)
		fail_msg("%s", what);
}

#define EXPECT(what, before, after) expect(what, before, after, sizeof(before) - 1)

static void test_parameters(void **state)
{
	(void)state;
	EXPECT("ech alone", "\0\1\0\0\5\0\2hi", "\0\1\0\xff\0\0\2\0\0");
	EXPECT("others stay in their order", "\0\1\0\0\1\0\3\2h2\0\5\0\2hi\0\6\0\1x",
	       "\0\1\0\0\1\0\3\2h2\0\6\0\1x\xff\0\0\2\0\0");
	EXPECT("a target", "\0\1\1b\4test\0\0\5\0\1h", "\0\1\1b\4test\0\xff\0\0\1\0");
	EXPECT("keys for private use are taken", "\0\1\0\0\5\0\0\xff\0\0\0\xff\1\0\0\xff\3\0\0",
	       "\0\1\0\xff\0\0\0\xff\1\0\0\xff\2\0\0\xff\3\0\0");
	EXPECT("mandatory", "\0\1\0\0\0\0\6\0\1\0\5\0\6\0\1\0\0\0\5\0\0\0\6\0\0",
	       "\0\1\0\0\0\0\6\0\1\0\6\xff\0\0\1\0\0\0\6\0\0\xff\0\0\0");
	EXPECT("mandatory without it", "\0\1\0\0\0\0\2\0\1\0\1\0\0\0\5\0\0",
	       "\0\1\0\0\0\0\2\0\1\0\1\0\0\xff\0\0\0");
	EXPECT("none", "\0\1\0\0\1\0\3\2h2\0\4\0\4abcd", "\0\1\0\0\1\0\3\2h2\0\4\0\4abcd");
	EXPECT("an alias", "\0\0\1b\4test\0", "\0\0\1b\4test\0");
	/* Clients reject these records. */
	EXPECT("no whole parameter", "\0\1\0\0\5\0\2h", "\0\1\0\0\5\0\2h");
	EXPECT("no target", "\0\1\3b", "\0\1\3b");
	EXPECT("nothing", "\0", "\0");
}

/* Each section's records are found, and a compressed name behind them still leads to its place. */
static void test_sections(void **state)
{
	static const char ech[] = "\0\1\0\0\5\0\2hi";
	struct message message;
	ldns_pkt *packet = NULL;
	char *text;
	int section;

	(void)state;
	for (section = 6; section <= 10; section += 2) {
		begin(&message);
		add(&message, section, 16, "\5\0\5\0\2h", 6); /* TXT */
		add(&message, section, section == 8 ? 64 : 65, ech, sizeof(ech) - 1);
		/* The owner of the next one is the name "b" below, in front of a pointer. */
		add(&message, section, 5, "\1b\xc0\x0e", 4);
		add(&message, section, 1, "\xc0\0\2\7", 4);
		message.bytes[message.size - 16 + 1] = (uint8_t)(message.size - 20);
		assert_true(remove_ech(&message));
		assert_int_equal(message.bytes[3] & AD, 0);
		assert_int_equal(ldns_wire2pkt(&packet, message.bytes, message.size),
				 LDNS_STATUS_OK);
		text = ldns_pkt2str(packet);
		assert_null(strstr(text, "ech"));
		assert_non_null(strstr(text, "b.test.\t256\tIN\tA\t192.0.2.7"));
		free(text);
		ldns_pkt_free(packet);
		/* Nothing is left to be done. */
		assert_false(remove_ech(&message));
	}
}

/* Cut anywhere, and with wrong octets anywhere: ASan finds what is read or written outside. */
static void test_broken(void **state)
{
	struct message whole, message;
	size_t size, at;

	(void)state;
	begin(&whole);
	add(&whole, 6, 65, "\0\1\0\0\0\0\2\0\5\0\1\0\3\2h2\0\5\0\2hi", 22);
	add(&whole, 10, 64, "\0\1\1b\0\0\5\0\2hi\0\6\0\1x", 16);
	for (size = 0; size < whole.size; size++) {
		message = whole;
		message.size = size;
		(void)remove_ech(&message);
		for (at = 0; at < 256; at++) {
			message = whole;
			message.bytes[size] = (uint8_t)at;
			(void)remove_ech(&message);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
