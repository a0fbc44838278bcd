// SPDX-License-Identifier: Apache-2.0
/* The DNS relay's answers, with and without a policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/util.h"
#include "proto/dns_message.h"
#include "support/dns_bed.h"

static void relays(int family)
{
	static const uint8_t opt[] = {0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0, 0, 0};
	struct dns_bed *bed = dns_bed_new(family, true, 16, MINUTE_MS);
	struct message query, asked, answer;
	size_t i;

	ask(bed, 0x0102, "mIxEd", TYPE_A, &query);
	receive(bed->resolver, &asked);
	assert_int_equal(asked.size, query.size);
	assert_memory_equal(asked.bytes + 2, query.bytes + 2, query.size - 2);
	/* Truncated, and nearly as large as a datagram gets. */
	asked.bytes[2] |= 0x82;
	for (i = asked.size; i < 60000; i++)
		asked.bytes[i] = (uint8_t)i;
	respond(bed->resolver, &asked, asked.bytes, 60000);
	receive(bed->client, &answer);
	assert_int_equal(answer.size, 60000);
	assert_int_equal(dns_id(answer.bytes), 0x0102);
	assert_memory_equal(answer.bytes + 2, asked.bytes + 2, 60000 - 2);
	/* SERVFAIL is relayed, and so is EDNS. */
	ask(bed, 0x0304, "x", TYPE_A, &query);
	receive(bed->resolver, &asked);
	respond_rcode(bed->resolver, &asked, DNS_SERVFAIL);
	expect(bed, &query, DNS_SERVFAIL, 0);
	memcpy(query.bytes + query.size, opt, sizeof(opt));
	query.bytes[11] = 1;
	query.size += sizeof(opt);
	assert_int_equal(send(bed->client, query.bytes, query.size, 0), query.size);
	receive(bed->resolver, &asked);
	assert_memory_equal(asked.bytes + 2, query.bytes + 2, query.size - 2);
	respond_rcode(bed->resolver, &asked, DNS_NOERROR);
	expect(bed, &query, DNS_NOERROR, 0);
	assert_int_equal(bed->worker.counters.dns_queries, 3);
	assert_int_equal(bed->worker.counters.dns_failures, 0);
	dns_bed_free(bed);
}

static void test_relays(void **state)
{
	(void)state;
	relays(AF_INET);
	relays(AF_INET6);
}

static void test_nxdomain(void **state)
{
	struct dns_bed *bed = dns_bed_new(AF_INET, true, 16, MINUTE_MS);
	struct message query, asked;

	(void)state;
	set_policy(bed, true, "yes.test");
	ask(bed, 1, "Yes", TYPE_ANY, &query);
	receive(bed->resolver, &asked);
	respond_rcode(bed->resolver, &asked, DNS_NXDOMAIN);
	expect(bed, &query, DNS_NOERROR, 2);
	ask(bed, 2, "no", TYPE_A, &query);
	receive(bed->resolver, &asked);
	respond_rcode(bed->resolver, &asked, DNS_NXDOMAIN);
	expect(bed, &query, DNS_NXDOMAIN, 0);
	dns_bed_free(bed);
	/* Without a policy nothing is made up. */
	bed = dns_bed_new(AF_INET, false, 16, MINUTE_MS);
	ask(bed, 1, "yes", TYPE_A, &query);
	receive(bed->resolver, &asked);
	respond_rcode(bed->resolver, &asked, DNS_NXDOMAIN);
	expect(bed, &query, DNS_NXDOMAIN, 0);
	dns_bed_free(bed);
}

/* Only a query for addresses is answered, and names of the search list stay unknown. */
static void test_made_up_for_addresses(void **state)
{
	static const struct {
		const char *label;
		uint8_t type;
		enum dns_rcode rcode;
		unsigned int records;
	} cases[] = {
		{"yes", TYPE_A, DNS_NOERROR, 1},     {"yes", 65, DNS_NOERROR, 0}, /* HTTPS */
		{"yes", 15, DNS_NXDOMAIN, 0},					  /* MX */
		{"yes", 16, DNS_NXDOMAIN, 0},					  /* TXT */
		{"yes", 33, DNS_NXDOMAIN, 0},					  /* SRV */
		{"search", TYPE_A, DNS_NXDOMAIN, 0},
	};
	struct dns_bed *bed = dns_bed_new(AF_INET, true, 16, MINUTE_MS);
	struct message query, asked;
	size_t i;

	(void)state;
	set_policy(bed, true, "*");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		ask(bed, (uint16_t)i, cases[i].label, cases[i].type, &query);
		receive(bed->resolver, &asked);
		respond_rcode(bed->resolver, &asked, DNS_NXDOMAIN);
		expect(bed, &query, cases[i].rcode, cases[i].records);
	}
	dns_bed_free(bed);
}

/* NOTIFY, UPDATE, DSO and an opcode that has no meaning yet. */
static void test_opcodes(void **state)
{
	static const uint8_t opcodes[] = {4, 5, 6, 10};
	struct dns_bed *bed = dns_bed_new(AF_INET, true, 16, MINUTE_MS);
	struct message query, asked, answer;
	size_t i;

	(void)state;
	set_policy(bed, true, "*");
	for (i = 0; i < ARRAY_SIZE(opcodes); i++) {
		memset(query.bytes, 0x55, 40);
		dns_set_id(query.bytes, (uint16_t)(0x300 + i));
		query.bytes[2] = (uint8_t)(opcodes[i] << 3);
		assert_int_equal(send(bed->client, query.bytes, 40, 0), 40);
		receive(bed->resolver, &asked);
		assert_int_equal(asked.size, 40);
		assert_memory_equal(asked.bytes + 2, query.bytes + 2, 38);
		/* An answer to another opcode is none. */
		asked.bytes[2] ^= 0x08;
		respond_rcode(bed->resolver, &asked, DNS_NXDOMAIN);
		asked.bytes[2] ^= 0x08;
		respond_rcode(bed->resolver, &asked, DNS_NXDOMAIN);
		receive(bed->client, &answer);
		assert_int_equal(dns_id(answer.bytes), 0x300 + i);
		assert_memory_equal(answer.bytes + 2, asked.bytes + 2, 38);
	}
	set_policy(bed, false, "*");
	assert_int_equal(send(bed->client, query.bytes, 40, 0), 40);
	receive(bed->client, &answer);
	assert_int_equal(dns_rcode(answer.bytes), DNS_NOTIMP);
	expect_nothing_asked(bed);
	dns_bed_free(bed);
}

/* With hints a record loses its ech parameter, and the answer its AD. The size stays. */
static void test_ech(void **state)
{
	static const uint8_t record[] = {0xc0, 12, 0, 65, 0, 1, 0, 0, 0,   9,  0,
					 9,    0,  1, 0,  0, 5, 0, 2, 'h', 'i'};
	struct message query, asked, answer;
	int hint;

	(void)state;
	for (hint = 0; hint < 2; hint++) {
		struct dns_bed *bed = dns_bed_new(AF_INET, false, 16, MINUTE_MS);

		bed->shared.config.sni_hint = hint;
		ask(bed, 7, "site", 65, &query);
		receive(bed->resolver, &asked);
		asked.bytes[2] |= 0x80;
		asked.bytes[3] |= 0xa0;
		asked.bytes[7] = 1;
		memcpy(asked.bytes + asked.size, record, sizeof(record));
		asked.size += sizeof(record);
		respond(bed->resolver, &asked, asked.bytes, asked.size);
		receive(bed->client, &answer);
		assert_int_equal(answer.size, asked.size);
		assert_int_equal(answer.bytes[3], hint ? 0x80 : 0xa0);
		assert_memory_equal(answer.bytes + answer.size - 6,
				    hint ? "\xff\0\0\2\0\0" : "\0\5\0\2hi", 6);
		dns_bed_free(bed);
	}
}

static void test_internet_off(void **state)
{
	struct dns_bed *bed = dns_bed_new(AF_INET6, true, 16, MINUTE_MS);
	struct message query, asked;

	(void)state;
	set_policy(bed, false, "yes.*");
	ask(bed, 1, "YES", TYPE_A, &query);
	expect(bed, &query, DNS_NOERROR, 1);
	ask(bed, 2, "no", TYPE_A, &query);
	expect(bed, &query, DNS_NXDOMAIN, 0);
	expect_nothing_asked(bed);
	/* The internet is on again, between two queries. */
	set_policy(bed, true, "yes.*");
	ask(bed, 3, "no", TYPE_A, &query);
	receive(bed->resolver, &asked);
	respond_rcode(bed->resolver, &asked, DNS_NOERROR);
	expect(bed, &query, DNS_NOERROR, 0);
	dns_bed_free(bed);
}

static void test_silent_resolver(void **state)
{
	struct dns_bed *bed = dns_bed_new(AF_INET, true, 16, 30);
	struct message query, late;

	(void)state;
	set_policy(bed, true, "yes.test");
	ask(bed, 1, "yes", TYPE_A, &query);
	receive(bed->resolver, &late);
	expect(bed, &query, DNS_NOERROR, 1);
	ask(bed, 2, "no", TYPE_A, &query);
	expect(bed, &query, DNS_SERVFAIL, 0);
	receive(bed->resolver, &late);
	/* An answer that is too late is ignored. */
	respond_rcode(bed->resolver, &late, DNS_NOERROR);
	ask(bed, 3, "yes", TYPE_A, &query);
	expect(bed, &query, DNS_NOERROR, 1);
	assert_int_equal(bed->worker.counters.dns_failures, 3);
	dns_bed_free(bed);
}

/* The policy counts as it is at the end of the wait, not at its start. */
static void test_switched_off_meanwhile(void **state)
{
	struct dns_bed *bed = dns_bed_new(AF_INET, true, 16, 1000);
	struct message query, asked;

	(void)state;
	set_policy(bed, true, "yes.test");
	ask(bed, 1, "no", TYPE_A, &query);
	receive(bed->resolver, &asked);
	set_policy(bed, false, "yes.test");
	expect(bed, &query, DNS_NXDOMAIN, 0);
	dns_bed_free(bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relays),
		cmocka_unit_test(test_nxdomain),
		cmocka_unit_test(test_made_up_for_addresses),
		cmocka_unit_test(test_opcodes),
		cmocka_unit_test(test_ech),
		cmocka_unit_test(test_internet_off),
		cmocka_unit_test(test_silent_resolver),
		cmocka_unit_test(test_switched_off_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
