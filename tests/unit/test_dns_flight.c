// SPDX-License-Identifier: Apache-2.0
/* The DNS relay's queries in flight: refused, forged, malformed, and too many. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/util.h"
#include "proto/dns_message.h"
#include "proxy/dns_relay.h"
#include "support/dns_bed.h"

/* Each query fails at once, although the queries share sockets. */
static void refused(int family)
{
	struct dns_bed *bed = dns_bed_new(family, true, 256, MINUTE_MS);
	struct message query[40];
	bool seen[ARRAY_SIZE(query)] = {false};
	size_t i;

	set_policy(bed, true, "yes.test");
	bed->resolver = safe_close(bed->resolver);
	for (i = 0; i < ARRAY_SIZE(query); i++)
		ask(bed, (uint16_t)i, i % 2 ? "yes" : "no", TYPE_A, &query[i]);
	for (i = 0; i < ARRAY_SIZE(query); i++) {
		struct message answer;
		uint16_t id;

		receive(bed->client, &answer);
		id = dns_id(answer.bytes);
		assert_true(id < ARRAY_SIZE(query) && !seen[id]);
		seen[id] = true;
		assert_int_equal(dns_rcode(answer.bytes), id % 2 ? DNS_NOERROR : DNS_SERVFAIL);
		assert_int_equal(answer.bytes[7], id % 2);
	}
	dns_bed_free(bed);
}

static void test_refused(void **state)
{
	(void)state;
	refused(AF_INET);
	refused(AF_INET6);
}

static void test_forged_answers(void **state)
{
	struct dns_bed *bed = dns_bed_new(AF_INET, true, 16, MINUTE_MS);
	union dns_address elsewhere = bed->address;
	struct message query, asked, forged;
	int other = open_socket(AF_INET);

	(void)state;
	elsewhere.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	bind_to(other, &elsewhere);
	ask(bed, 1, "name", TYPE_A, &query);
	receive(bed->resolver, &asked);
	forged = asked;
	respond_rcode(other, &forged, DNS_SERVFAIL);		 /* from another address */
	respond(bed->resolver, &asked, asked.bytes, asked.size); /* no answer */
	respond(bed->resolver, &asked, asked.bytes, 5);
	respond(bed->resolver, &asked, asked.bytes, 0);
	forged.bytes[0] ^= 1; /* another ID */
	respond_rcode(bed->resolver, &forged, DNS_SERVFAIL);
	forged.bytes[0] ^= 1;
	forged.bytes[13] = 'x'; /* another question */
	respond_rcode(bed->resolver, &forged, DNS_SERVFAIL);
	respond_rcode(bed->resolver, &asked, DNS_NOERROR);
	respond_rcode(bed->resolver, &asked, DNS_NOERROR);
	expect(bed, &query, DNS_NOERROR, 0);
	ask(bed, 2, "next", TYPE_A, &query);
	receive(bed->resolver, &asked);
	respond_rcode(bed->resolver, &asked, DNS_NOERROR);
	expect(bed, &query, DNS_NOERROR, 0);
	(void)safe_close(other);
	dns_bed_free(bed);
}

static void test_malformed(void **state)
{
	struct dns_bed *bed = dns_bed_new(AF_INET, true, 16, MINUTE_MS);
	struct message query, answer;

	(void)state;
	ask(bed, 1, "a", TYPE_A, &query);
	receive(bed->resolver, &answer);
	query.bytes[2] |= 0x80; /* an answer, and less than a header: both are dropped */
	assert_int_equal(send(bed->client, query.bytes, query.size, 0), query.size);
	assert_int_equal(send(bed->client, query.bytes, 11, 0), 11);
	query.bytes[2] = 1;
	query.bytes[5] = 0;
	assert_int_equal(send(bed->client, query.bytes, query.size, 0), query.size);
	receive(bed->client, &answer);
	assert_int_equal(dns_rcode(answer.bytes), DNS_FORMERR);
	assert_int_equal(answer.size, 12);
	expect_nothing_asked(bed);
	dns_bed_free(bed);
}

static void test_oldest_gives_way(void **state)
{
	struct dns_bed *bed = dns_bed_new(AF_INET, false, 4, MINUTE_MS);
	struct message query[5], asked;
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++)
		ask(bed, (uint16_t)i, "name", TYPE_A, &query[i]);
	expect(bed, &query[0], DNS_SERVFAIL, 0);
	for (i = 0; i < 5; i++) {
		receive(bed->resolver, &asked);
		respond_rcode(bed->resolver, &asked, DNS_NOERROR);
		if (i > 0)
			expect(bed, &query[i], DNS_NOERROR, 0);
	}
	dns_bed_free(bed);
}

#define MANY 5000
#define STEP 50

/* The steps are small enough for the sockets' queues. The resolver answers the last query first. */
static void test_many_in_flight(void **state)
{
	struct dns_bed *bed = dns_bed_new(AF_INET, true, DNS_QUERIES_MAX, MINUTE_MS);
	struct message *asked = calloc(1, sizeof(*asked)), *query = calloc(1, sizeof(*query));
	struct {
		uint8_t bytes[64];
		size_t size;
		union dns_address from;
	} *flight = calloc(MANY, sizeof(*flight));
	bool *seen = calloc(MANY, sizeof(*seen));
	size_t i, at, same = 0;

	(void)state;
	for (i = 0; i < MANY; i += STEP) {
		for (at = i; at < i + STEP; at++)
			ask(bed, (uint16_t)at, "n", TYPE_A, query);
		for (at = i; at < i + STEP; at++) {
			receive(bed->resolver, asked);
			assert_true(asked->size < sizeof(flight->bytes));
			memcpy(flight[at].bytes, asked->bytes, asked->size);
			flight[at].size = asked->size;
			flight[at].from = asked->from;
			same += at > 0 && dns_address_equal(&flight[at].from, &flight[at - 1].from);
		}
	}
	/* One in eight leaves from the same port as the one before. */
	assert_true(same >= MANY / DNS_UPSTREAMS / 2 && same <= MANY / DNS_UPSTREAMS * 2);
	for (i = 0; i < MANY; i += STEP) {
		for (at = i; at < i + STEP; at++) {
			memcpy(asked->bytes, flight[MANY - 1 - at].bytes,
			       flight[MANY - 1 - at].size);
			asked->size = flight[MANY - 1 - at].size;
			asked->from = flight[MANY - 1 - at].from;
			respond_rcode(bed->resolver, asked, DNS_NOERROR);
		}
		for (at = i; at < i + STEP; at++) {
			uint16_t id;

			receive(bed->client, asked);
			id = dns_id(asked->bytes);
			assert_true(id < MANY && !seen[id]);
			seen[id] = true;
		}
	}
	assert_int_equal(bed->worker.counters.dns_failures, 0);
	dns_bed_free(bed);
	free(seen);
	free(flight);
	free(query);
	free(asked);
}

/* A socket that the kernel side does not know would be steered back to the relay. */
static void test_socket_not_announced(void **state)
{
	struct dns_bed bed = {.own_error = -EPERM};
	int listeners[2] = {-1, -1};

	(void)state;
	bed.shared.config.announcer = (struct dial_announcer) {dns_bed_announce, &bed};
	bed.worker.shared = &bed.shared;
	bed.worker.loop = loop_new();
	dns_bed_sockets(&bed, AF_INET);
	listeners[0] = bed.listener;
	assert_int_equal(dns_relay_new(&bed.worker, listeners, 1, 1, &bed.relay), 0);
	assert_int_equal(dns_relay_open(bed.relay), -EPERM);
	assert_int_equal(bed.owned, 1);
	dns_relay_free(bed.relay);
	assert_int_equal(dns_relay_open(NULL), 0);
	loop_free(bed.worker.loop);
	(void)safe_close(bed.listener);
	(void)safe_close(bed.client);
	(void)safe_close(bed.resolver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),	       cmocka_unit_test(test_forged_answers),
		cmocka_unit_test(test_malformed),      cmocka_unit_test(test_oldest_gives_way),
		cmocka_unit_test(test_many_in_flight), cmocka_unit_test(test_socket_not_announced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
