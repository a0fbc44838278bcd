// SPDX-License-Identifier: Apache-2.0
/*
 * Tests the DNS codec against ldns. ldns writes the messages that the codec reads, and reads those
 * that it writes. Random input has a fixed seed. Each buffer has the exact size of its message, for
 * ASan.
 */
#include <errno.h>
#include <ldns/ldns.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/util.h"
#include "proto/dns_message.h"

static uint64_t seed;

/* xorshift64* gives the same numbers everywhere. */
static uint32_t random_below(uint32_t limit)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (uint32_t)((seed * 0x2545f4914f6cdd1dULL) >> 33) % limit;
}

static int parse(const void *message, size_t size, struct dns_question *question)
{
	void *exact = malloc(size ? size : 1);
	int result;

	memcpy(exact, message, size);
	memset(question, 0xa5, sizeof(*question));
	result = dns_query_parse(exact, size, question);
	free(exact);
	return result;
}

static size_t query_build(uint8_t **ret_wire, const char *name, ldns_rr_type type, uint16_t flags)
{
	ldns_rdf *owner = ldns_dname_new_frm_str(name);
	ldns_pkt *packet;
	size_t size;

	assert_non_null(owner);
	packet = ldns_pkt_query_new(owner, type, LDNS_RR_CLASS_IN, flags);
	ldns_pkt_set_id(packet, 0x1234);
	assert_int_equal(ldns_pkt2wire(ret_wire, packet, &size), LDNS_STATUS_OK);
	ldns_pkt_free(packet);
	return size;
}

static size_t edns_query(uint8_t **ret_wire, const char *name, ldns_rr_type type, uint8_t version,
			 bool want_dnssec)
{
	ldns_pkt *packet = ldns_pkt_query_new(ldns_dname_new_frm_str(name), type, LDNS_RR_CLASS_IN,
					      LDNS_RD | LDNS_CD);
	size_t size;

	ldns_pkt_set_id(packet, 7);
	ldns_pkt_set_edns_udp_size(packet, 4096);
	ldns_pkt_set_edns_version(packet, version);
	ldns_pkt_set_edns_do(packet, want_dnssec);
	assert_int_equal(ldns_pkt2wire(ret_wire, packet, &size), LDNS_STATUS_OK);
	ldns_pkt_free(packet);
	return size;
}

static void test_query(void **state)
{
	struct dns_question question;
	char name[DNS_NAME_TEXT_MAX];
	uint8_t *wire;
	size_t size = query_build(&wire, "WwW.Example.COM.", LDNS_RR_TYPE_AAAA, LDNS_RD), i;

	(void)state;
	assert_int_equal(parse(wire, size, &question), 0);
	assert_int_equal(question.id, 0x1234);
	assert_int_equal(question.flags, 0x0100);
	assert_int_equal(question.type, 28);
	assert_int_equal(question.class, 1);
	assert_false(question.edns);
	assert_int_equal(question.size, size - 12);
	assert_memory_equal(question.bytes, wire + 12, size - 12);
	dns_question_name(&question, name);
	assert_string_equal(name, "WwW.Example.COM");
	for (i = 0; i < size; i++)
		assert_int_equal(parse(wire, i, &question), i < 12 ? -EBADMSG : DNS_FORMERR);
	free(wire);
}

static void test_root_and_edns(void **state)
{
	struct dns_question question;
	char name[DNS_NAME_TEXT_MAX];
	uint8_t *wire;
	size_t size = edns_query(&wire, ".", LDNS_RR_TYPE_NS, 0, true);

	(void)state;
	assert_int_equal(parse(wire, size, &question), 0);
	dns_question_name(&question, name);
	assert_string_equal(name, "");
	assert_true(question.edns);
	assert_true(question.edns_do);
	assert_int_equal(question.edns_version, 0);
	free(wire);
}

static void expect_refused(uint8_t *wire, size_t size, size_t at, uint8_t value, int result)
{
	struct dns_question question;
	uint8_t before = wire[at];

	wire[at] = value;
	assert_int_equal(parse(wire, size, &question), result);
	if (result > 0) {
		uint8_t answer[DNS_ANSWER_MAX];

		assert_int_equal(question.id, 0x1234);
		assert_int_equal(dns_error_write(&question, (enum dns_rcode)result, answer), 12);
		assert_int_equal(answer[2] & 0x80, 0x80);
		assert_int_equal(answer[3] & 15, result);
		assert_int_equal(answer[5], 0);
	}
	wire[at] = before;
}

static void test_malformed(void **state)
{
	uint8_t *wire;
	size_t size = query_build(&wire, "ab.cd.", LDNS_RR_TYPE_A, LDNS_RD);

	(void)state;
	expect_refused(wire, size, 2, 0x81, -EBADMSG);	   /* an answer */
	expect_refused(wire, size, 2, 0x29, DNS_NOTIMP);   /* UPDATE */
	expect_refused(wire, size, 5, 0, DNS_FORMERR);	   /* no question */
	expect_refused(wire, size, 5, 2, DNS_FORMERR);	   /* two */
	expect_refused(wire, size, 12, 64, DNS_FORMERR);   /* an obsolete kind of label */
	expect_refused(wire, size, 12, 0xc0, DNS_FORMERR); /* pointers */
	expect_refused(wire, size, 15, 0xc0, DNS_FORMERR);
	expect_refused(wire, size, 12, 63, DNS_FORMERR);
	expect_refused(wire, size, 7, 1, DNS_FORMERR); /* missing records */
	expect_refused(wire, size, 10, 255, DNS_FORMERR);
	free(wire);
}

static void test_two_opt_records(void **state)
{
	struct dns_question question;
	uint8_t *wire, twice[128];
	size_t size = edns_query(&wire, "a.test.", LDNS_RR_TYPE_A, 0, false);

	(void)state;
	memcpy(twice, wire, size);
	memcpy(twice + size, wire + size - 11, 11);
	assert_int_equal(parse(twice, size + 11, &question), 0);
	twice[11] = 2;
	assert_int_equal(parse(twice, size + 11, &question), DNS_FORMERR);
	assert_false(question.edns);
	free(wire);
}

/* The largest name has 255 octets, each written with four characters. */
static void test_name_limit(void **state)
{
	uint8_t message[12 + 300] = {0};
	struct dns_question question;
	char name[DNS_NAME_TEXT_MAX];
	size_t at = 12, i;

	(void)state;
	message[5] = 1;
	for (i = 0; i < 4; i++) {
		uint8_t label = i < 3 ? 63 : 61;

		message[at] = label;
		memset(message + at + 1, 0xff, label);
		at += label + 1u;
	}
	assert_int_equal(at - 12 + 1, 255);
	assert_int_equal(parse(message, at + 1 + 4, &question), 0);
	assert_int_equal(question.size, DNS_QUESTION_MAX);
	dns_question_name(&question, name);
	assert_int_equal(strlen(name), 250 * 4 + 3);
	message[at - 62] = 62;
	assert_int_equal(parse(message, at + 2 + 4, &question), DNS_FORMERR);
}

/* ldns reads the text of random names back to the same octets. */
static void test_names_against_ldns(void **state)
{
	int round;

	(void)state;
	seed = 1;
	for (round = 0; round < 20000; round++) {
		uint8_t message[12 + 255 + 4] = {0, 1, 1, 0, 0, 1};
		struct dns_question question;
		char name[DNS_NAME_TEXT_MAX];
		unsigned int labels = random_below(8), i, octet;
		size_t at = 12;
		ldns_rdf *read;

		for (i = 0; i < labels; i++) {
			uint8_t size = (uint8_t)(1 + random_below(random_below(8) ? 9 : 31));

			message[at++] = size;
			for (octet = 0; octet < size; octet++)
				message[at++] = (uint8_t)(random_below(2) ? 'a' + random_below(26)
									  : random_below(256));
		}
		at++;
		message[at + 1] = 1;
		message[at + 3] = 1;
		assert_int_equal(parse(message, at + 4, &question), 0);
		dns_question_name(&question, name);
		strcat(name, ".");
		read = ldns_dname_new_frm_str(name);
		assert_non_null(read);
		assert_int_equal(ldns_rdf_size(read), at - 12);
		assert_memory_equal(ldns_rdf_data(read), message + 12, at - 12);
		ldns_rdf_deep_free(read);
	}
}

static ldns_pkt *read_answer(const struct dns_question *question, const uint8_t *answer,
			     size_t size)
{
	ldns_pkt *packet;

	assert_int_equal(ldns_wire2pkt(&packet, answer, size), LDNS_STATUS_OK);
	assert_true(ldns_pkt_qr(packet));
	assert_false(ldns_pkt_ra(packet));
	assert_false(ldns_pkt_tc(packet));
	assert_int_equal(ldns_pkt_id(packet), question->id);
	assert_int_equal(ldns_pkt_rd(packet), question->flags >> 8 & 1);
	assert_int_equal(ldns_pkt_cd(packet), question->flags >> 4 & 1);
	assert_int_equal(ldns_pkt_edns(packet), question->edns);
	assert_int_equal(ldns_pkt_qdcount(packet), question->size ? 1 : 0);
	assert_memory_equal(answer + 12, question->bytes, question->size);
	assert_true(dns_answers(answer, size, question) ||
		    (!question->size || ldns_pkt_id(packet) != question->id));
	return packet;
}

static void expect_record(const ldns_pkt *packet, size_t at, const char *text)
{
	char *record = ldns_rr2str(ldns_rr_list_rr(ldns_pkt_answer(packet), at));

	assert_string_equal(record, text);
	free(record);
}

static ldns_pkt *made_up(ldns_rr_type type, bool edns)
{
	struct dns_question question;
	uint8_t *wire, answer[DNS_ANSWER_MAX];
	size_t size = edns ? edns_query(&wire, "Ab.test.", type, 0, true)
			   : query_build(&wire, "Ab.test.", type, LDNS_RD);
	ldns_pkt *packet;

	assert_int_equal(parse(wire, size, &question), 0);
	size = dns_made_up_write(&question, answer);
	packet = read_answer(&question, answer, size);
	assert_true(ldns_pkt_aa(packet));
	assert_int_equal(ldns_pkt_get_rcode(packet), LDNS_RCODE_NOERROR);
	free(wire);
	return packet;
}

static void test_made_up(void **state)
{
	ldns_pkt *packet = made_up(LDNS_RR_TYPE_A, false);

	(void)state;
	assert_int_equal(ldns_pkt_ancount(packet), 1);
	expect_record(packet, 0, "Ab.test.\t60\tIN\tA\t11.0.0.1\n");
	ldns_pkt_free(packet);
	packet = made_up(LDNS_RR_TYPE_AAAA, true);
	assert_int_equal(ldns_pkt_ancount(packet), 1);
	expect_record(packet, 0, "Ab.test.\t60\tIN\tAAAA\tfd00::1\n");
	assert_int_equal(ldns_pkt_edns_udp_size(packet), 1232);
	assert_true(ldns_pkt_edns_do(packet));
	ldns_pkt_free(packet);
	packet = made_up(LDNS_RR_TYPE_ANY, false);
	assert_int_equal(ldns_pkt_ancount(packet), 2);
	expect_record(packet, 0, "Ab.test.\t60\tIN\tA\t11.0.0.1\n");
	expect_record(packet, 1, "Ab.test.\t60\tIN\tAAAA\tfd00::1\n");
	ldns_pkt_free(packet);
	packet = made_up(LDNS_RR_TYPE_HTTPS, true);
	assert_int_equal(ldns_pkt_ancount(packet), 0);
	ldns_pkt_free(packet);
}

static void test_errors(void **state)
{
	static const enum dns_rcode rcodes[] = {DNS_SERVFAIL, DNS_NXDOMAIN, DNS_FORMERR};
	struct dns_question question;
	uint8_t *wire, answer[DNS_ANSWER_MAX];
	size_t size = edns_query(&wire, "a.test.", LDNS_RR_TYPE_A, 0, false), i;
	ldns_pkt *packet;

	(void)state;
	assert_int_equal(parse(wire, size, &question), 0);
	for (i = 0; i < ARRAY_SIZE(rcodes); i++) {
		size = dns_error_write(&question, rcodes[i], answer);
		packet = read_answer(&question, answer, size);
		assert_int_equal(ldns_pkt_get_rcode(packet), rcodes[i]);
		assert_int_equal(ldns_pkt_aa(packet), rcodes[i] == DNS_NXDOMAIN);
		assert_int_equal(ldns_pkt_ancount(packet), 0);
		assert_int_equal(dns_rcode(answer), rcodes[i]);
		ldns_pkt_free(packet);
	}
	free(wire);
	/* The EDNS version is unknown. */
	size = edns_query(&wire, "a.test.", LDNS_RR_TYPE_A, 1, false);
	assert_int_equal(parse(wire, size, &question), 0);
	size = dns_made_up_write(&question, answer);
	packet = read_answer(&question, answer, size);
	assert_int_equal(ldns_pkt_get_rcode(packet), 0);
	assert_int_equal(ldns_pkt_edns_extended_rcode(packet), 1);
	assert_int_equal(ldns_pkt_ancount(packet), 0);
	ldns_pkt_free(packet);
	free(wire);
}

static void test_class(void **state)
{
	struct dns_question question;
	uint8_t *wire, answer[DNS_ANSWER_MAX];
	size_t size = query_build(&wire, "a.test.", LDNS_RR_TYPE_A, 0);

	(void)state;
	wire[size - 1] = 3; /* CHAOS has no addresses of this kind */
	assert_int_equal(parse(wire, size, &question), 0);
	assert_int_equal(dns_made_up_write(&question, answer), size);
	free(wire);
}

static void test_answers(void **state)
{
	struct dns_question question;
	uint8_t *wire;
	size_t size = query_build(&wire, "a[{.test.", LDNS_RR_TYPE_HTTPS, LDNS_RD);

	(void)state;
	assert_int_equal(parse(wire, size, &question), 0);
	assert_false(dns_answers(wire, size, &question));
	wire[2] |= 0x80;
	assert_true(dns_answers(wire, size, &question));
	assert_false(dns_answers(wire, size - 1, &question));
	assert_false(dns_answers(wire, 11, &question));
	wire[13] = 'A';
	assert_true(dns_answers(wire, size, &question));
	wire[14] = '{'; /* not the lower case of '[' */
	assert_false(dns_answers(wire, size, &question));
	wire[14] = '[';
	wire[size - 3] |= 0x20; /* another type */
	assert_false(dns_answers(wire, size, &question));
	wire[size - 3] &= 0xdf;
	wire[5] = 0; /* an error may omit the question, unless it is about the name */
	assert_false(dns_answers(wire, size, &question));
	wire[3] = DNS_FORMERR;
	assert_true(dns_answers(wire, 12, &question));
	wire[3] = DNS_NXDOMAIN;
	assert_false(dns_answers(wire, 12, &question));
	wire[5] = 2;
	assert_false(dns_answers(wire, size, &question));
	free(wire);
}

/* Both read an accepted message alike. If only ldns accepts one, there is a reason. */
static void compare(const uint8_t *message, size_t size)
{
	struct dns_question question;
	uint8_t answer[DNS_ANSWER_MAX];
	char name[DNS_NAME_TEXT_MAX];
	ldns_pkt *theirs = NULL, *packet;
	bool readable = ldns_wire2pkt(&theirs, message, size) == LDNS_STATUS_OK;
	int result = parse(message, size, &question);

	if (result == 0) {
		dns_question_name(&question, name);
		assert_true(strlen(name) < sizeof(name));
		packet = read_answer(&question, answer, dns_made_up_write(&question, answer));
		ldns_pkt_free(packet);
	}
	if (readable && result == 0) {
		const ldns_rr *asked = ldns_rr_list_rr(ldns_pkt_question(theirs), 0);

		assert_int_equal(ldns_rr_get_type(asked), question.type);
		assert_int_equal(ldns_rr_get_class(asked), question.class);
		assert_int_equal(ldns_rdf_size(ldns_rr_owner(asked)), question.size - 4);
		assert_memory_equal(ldns_rdf_data(ldns_rr_owner(asked)), question.bytes,
				    question.size - 4u);
		assert_int_equal(ldns_pkt_edns(theirs), question.edns);
	}
	if (readable && result == DNS_NOTIMP)
		assert_int_not_equal(ldns_pkt_get_opcode(theirs), LDNS_PACKET_QUERY);
	if (readable && result == -EBADMSG)
		assert_true(ldns_pkt_qr(theirs));
	/* The reasons are several questions, several or odd OPT records, or a followed pointer. */
	ldns_pkt_free(theirs);
}

/* ldns reads a query that is written here, and its made-up answer is known among others. */
static void test_own_query(void **state)
{
	uint8_t query[DNS_HEADER_SIZE + DNS_QUESTION_MAX], answer[DNS_ANSWER_MAX];
	size_t size = dns_query_write(0x4711, "a1.sidestep.invalid", LDNS_RR_TYPE_A, query);
	struct dns_question question;
	ldns_pkt *packet = NULL;
	char *text;

	(void)state;
	assert_int_equal(ldns_wire2pkt(&packet, query, size), LDNS_STATUS_OK);
	assert_int_equal(ldns_pkt_id(packet), 0x4711);
	assert_true(ldns_pkt_rd(packet));
	text = ldns_rr_list2str(ldns_pkt_question(packet));
	assert_string_equal(text, "a1.sidestep.invalid.\tIN\tA\n");
	free(text);
	ldns_pkt_free(packet);
	assert_int_equal(parse(query, size, &question), 0);
	size = dns_made_up_write(&question, answer);
	assert_true(dns_is_made_up(answer, size));
	assert_false(dns_is_made_up(answer, size - 1));
	assert_false(dns_is_made_up(query, DNS_HEADER_SIZE));
	answer[size - 1] ^= 1;
	assert_false(dns_is_made_up(answer, size));
	size = dns_error_write(&question, DNS_NXDOMAIN, answer);
	assert_false(dns_is_made_up(answer, size));
}

static void test_mutations(void **state)
{
	int round;

	(void)state;
	seed = 2;
	for (round = 0; round < 60000; round++) {
		bool edns = random_below(2);
		uint8_t *wire, message[256];
		size_t size = edns ? edns_query(&wire, "some.name.test.", LDNS_RR_TYPE_A, 0, true)
				   : query_build(&wire, "a.test.", LDNS_RR_TYPE_ANY, LDNS_RD);
		unsigned int changes = random_below(5);

		memset(message, 0, sizeof(message));
		memcpy(message, wire, size);
		free(wire);
		while (changes-- > 0)
			message[random_below((uint32_t)size)] =
				(uint8_t)(random_below(2) ? random_below(256) : random_below(4));
		if (random_below(4) == 0)
			size = random_below(sizeof(message));
		compare(message, size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query),	   cmocka_unit_test(test_root_and_edns),
		cmocka_unit_test(test_malformed),  cmocka_unit_test(test_two_opt_records),
		cmocka_unit_test(test_name_limit), cmocka_unit_test(test_names_against_ldns),
		cmocka_unit_test(test_made_up),	   cmocka_unit_test(test_errors),
		cmocka_unit_test(test_class),	   cmocka_unit_test(test_answers),
		cmocka_unit_test(test_own_query),  cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
