// SPDX-License-Identifier: Apache-2.0
/* Tests how addresses are taken from answers, which ldns writes. */
#include <ldns/ldns.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/address.h"
#include "proto/dns_message.h"

/* Appends a record to the answer section of a packet. */
static void answer_push(ldns_pkt *packet, const char *text)
{
	ldns_rr *record = NULL;

	assert_int_equal(ldns_rr_new_frm_str(&record, text, 0, NULL, NULL), LDNS_STATUS_OK);
	assert_true(ldns_pkt_push_rr(packet, LDNS_SECTION_ANSWER, record));
}

static size_t answer_addresses(ldns_pkt *packet, const struct dns_question *question,
			       uint8_t (*ret_addresses)[16], size_t max)
{
	size_t size, count, i;
	uint8_t *wire;

	ldns_pkt_set_qr(packet, true);
	assert_int_equal(ldns_pkt2wire(&wire, packet, &size), LDNS_STATUS_OK);
	for (i = 0; i < size; i++) {
		/* Nothing behind the end is read. */
		uint8_t *cut = malloc(i ? i : 1);

		memcpy(cut, wire, i);
		assert_true(dns_addresses(cut, i, question, ret_addresses, max) <= max);
		free(cut);
	}
	count = dns_addresses(wire, size, question, ret_addresses, max);
	free(wire);
	return count;
}

/* An alias and its addresses, among which are a made-up one and one of another family. */
static void test_addresses(void **state)
{
	static const struct {
		uint16_t type;
		const char *expected;
	} cases[] = {
		{LDNS_RR_TYPE_A, "192.0.2.1"},
		{LDNS_RR_TYPE_AAAA, "2001:db8::1"},
	};
	uint8_t query[DNS_HEADER_SIZE + DNS_QUESTION_MAX], found[2][16];
	char text[ADDRESS_TEXT_MAX];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t size = dns_query_write(1, "gw.test", cases[i].type, query);
		struct dns_question question;
		ldns_pkt *packet = NULL;

		assert_int_equal(dns_query_parse(query, size, &question), 0);
		assert_int_equal(ldns_wire2pkt(&packet, query, size), LDNS_STATUS_OK);
		assert_int_equal(answer_addresses(packet, &question, found, 2), 0);
		answer_push(packet, "gw.test. 60 IN CNAME a.test.");
		answer_push(packet, "a.test. 60 IN A 11.0.0.1");
		answer_push(packet, "a.test. 60 IN AAAA fd00::1");
		answer_push(packet, "a.test. 60 IN A 192.0.2.1");
		answer_push(packet, "a.test. 60 IN AAAA 2001:db8::1");
		assert_int_equal(answer_addresses(packet, &question, found, 2), 1);
		assert_string_equal(address_format(found[0], text), cases[i].expected);
		answer_push(packet, "a.test. 60 IN A 192.0.2.2");
		answer_push(packet, "a.test. 60 IN A 192.0.2.3");
		answer_push(packet, "a.test. 60 IN AAAA 2001:db8::2");
		answer_push(packet, "a.test. 60 IN AAAA 2001:db8::3");
		assert_int_equal(answer_addresses(packet, &question, found, 2), 2);
		ldns_pkt_set_rcode(packet, LDNS_RCODE_SERVFAIL);
		assert_int_equal(answer_addresses(packet, &question, found, 2), 0);
		ldns_pkt_free(packet);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
