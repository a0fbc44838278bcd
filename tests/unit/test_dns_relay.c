// SPDX-License-Identifier: Apache-2.0
/*
 * The relay in a thread of its own; the test is application and resolver, over loopback. All three
 * sockets share one port: the listener is connected to the application's, so the kernel gives it
 * what comes from there, while the resolver's gets the rest; what the relay takes for the original
 * destination is the resolver.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <cmocka.h>

#include "lib/log.h"
#include "lib/util.h"
#include "proto/dns_message.h"
#include "proxy/dns_relay.h"
#include "proxy/policy.h"

#define MINUTE_MS 60000
#define TYPE_A	  1
#define TYPE_ANY  255

struct fixture {
	struct worker_shared shared;
	struct worker worker;
	struct dns_relay *relay;
	struct policy *policy;
	int listener, client, resolver;
	union dns_address address; /* the resolver's */
	unsigned int owned;
	int own_error;
	pthread_t thread;
};

struct message {
	uint8_t bytes[DNS_DATAGRAM_MAX];
	size_t size;
	union dns_address from;
};

static int own_socket(void *context, int fd, const struct sockaddr *destination)
{
	struct fixture *fixture = context;
	union dns_address bound;
	socklen_t size = sizeof(bound);

	assert_null(destination);
	assert_int_equal(getsockname(fd, &bound.any, &size), 0);
	assert_int_not_equal(bound.v4.sin_port, 0);
	fixture->owned++;
	return fixture->own_error;
}

static void woken(void *context)
{
	loop_stop(context);
}

static void *run(void *context)
{
	assert_int_equal(loop_run(context), 0);
	return NULL;
}

static int open_socket(int family)
{
	static const struct timeval limit = {.tv_sec = 20};
	static const int one = 1;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	if (family == AF_INET6)
		assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), 0);
	return fd;
}

static void bind_to(int fd, const union dns_address *address)
{
	assert_int_equal(bind(fd, &address->any, dns_address_size(address)), 0);
}

static union dns_address bound_to(int fd)
{
	union dns_address address;
	socklen_t size = sizeof(address);

	assert_int_equal(getsockname(fd, &address.any, &size), 0);
	return address;
}

static void open_sockets(struct fixture *fixture, int family)
{
	union dns_address any = {.any.sa_family = (sa_family_t)family}, *own = &fixture->address;

	fixture->listener = open_socket(family);
	fixture->client = open_socket(family);
	fixture->resolver = open_socket(family);
	assert_int_equal(dns_listener_prepare(fixture->listener, family), 0);
	bind_to(fixture->listener, &any);
	*own = bound_to(fixture->listener);
	if (family == AF_INET6)
		own->v6.sin6_addr = in6addr_loopback;
	else
		own->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind_to(fixture->resolver, own);
	/* Connected: answers from elsewhere would not arrive. */
	assert_int_equal(connect(fixture->client, &own->any, dns_address_size(own)), 0);
}

static struct fixture *fixture_new(int family, bool with_policy, unsigned int queries_max,
				   unsigned int limit_ms)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	union dns_address client;
	int listeners[2] = {-1, -1};

	log_set_level(LOG_ERROR);
	if (with_policy)
		assert_int_equal(policy_new(&fixture->policy), 0);
	fixture->shared.config.policy = fixture->policy;
	fixture->shared.config.announcer = (struct dial_announcer) {own_socket, fixture};
	fixture->worker.shared = &fixture->shared;
	fixture->worker.loop = loop_new();
	loop_on_wake(fixture->worker.loop, woken, fixture->worker.loop);
	open_sockets(fixture, family);
	listeners[family == AF_INET6] = fixture->listener;
	assert_int_equal(dns_relay_new(&fixture->worker, listeners, queries_max, limit_ms,
				       &fixture->relay),
			 0);
	client = bound_to(fixture->client);
	assert_int_equal(connect(fixture->listener, &client.any, dns_address_size(&client)), 0);
	assert_int_equal(dns_relay_open(fixture->relay), 0);
	assert_int_equal(fixture->owned, DNS_UPSTREAMS);
	assert_int_equal(pthread_create(&fixture->thread, NULL, run, fixture->worker.loop), 0);
	return fixture;
}

static void fixture_free(struct fixture *fixture)
{
	loop_wake(fixture->worker.loop);
	assert_int_equal(pthread_join(fixture->thread, NULL), 0);
	dns_relay_free(fixture->relay);
	loop_flush(fixture->worker.loop);
	loop_free(fixture->worker.loop);
	policy_free(fixture->policy);
	(void)safe_close(fixture->listener);
	(void)safe_close(fixture->client);
	(void)safe_close(fixture->resolver);
	free(fixture);
}

static void set_policy(struct fixture *fixture, bool internet, const char *glob)
{
	struct policy_change change = {.has_internet = true,
				       .internet = internet,
				       .has_allowed = true,
				       .allowed = &glob,
				       .allowed_count = 1};

	assert_int_equal(policy_apply(fixture->policy, &change), 0);
}

/* A query for LABEL.Test. */
static void ask(const struct fixture *fixture, uint16_t id, const char *label, uint8_t type,
		struct message *ret_query)
{
	static const uint8_t end[] = {4, 'T', 'e', 's', 't', 0, 0, 0, 0, 1};
	size_t size = strlen(label);
	uint8_t *bytes = ret_query->bytes;

	memset(bytes, 0, 12);
	dns_set_id(bytes, id);
	bytes[2] = 1;
	bytes[5] = 1;
	bytes[12] = (uint8_t)size;
	memcpy(bytes + 13, label, size);
	memcpy(bytes + 13 + size, end, sizeof(end));
	bytes[13 + size + 7] = type;
	ret_query->size = 13 + size + sizeof(end);
	assert_int_equal(send(fixture->client, bytes, ret_query->size, 0), ret_query->size);
}

static void receive(int fd, struct message *ret_message)
{
	socklen_t size = sizeof(ret_message->from);
	ssize_t got = recvfrom(fd, ret_message->bytes, sizeof(ret_message->bytes), 0,
			       &ret_message->from.any, &size);

	assert_true(got >= 0);
	ret_message->size = (size_t)got;
}

static void respond(int fd, const struct message *query, const void *bytes, size_t size)
{
	assert_int_equal(
		sendto(fd, bytes, size, 0, &query->from.any, dns_address_size(&query->from)), size);
}

static void respond_rcode(int fd, struct message *query, enum dns_rcode rcode)
{
	query->bytes[2] |= 0x80;
	query->bytes[3] = (uint8_t)rcode;
	respond(fd, query, query->bytes, query->size);
}

/* The application's next answer has the query's ID and question, and this response code. */
static void expect(const struct fixture *fixture, const struct message *query, enum dns_rcode rcode,
		   unsigned int records)
{
	struct message answer;

	receive(fixture->client, &answer);
	assert_int_equal(dns_id(answer.bytes), dns_id(query->bytes));
	assert_true(answer.size >= query->size);
	assert_memory_equal(answer.bytes + 12, query->bytes + 12, query->size - 12);
	assert_int_equal(dns_rcode(answer.bytes), rcode);
	assert_int_equal(answer.bytes[7], records);
	if (records)
		assert_int_equal(answer.bytes[2], 0x85); /* QR, AA, RD */
}

static void expect_nothing_asked(const struct fixture *fixture)
{
	assert_int_equal(recv(fixture->resolver, &(char) {0}, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void relays(int family)
{
	static const uint8_t opt[] = {0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0, 0, 0};
	struct fixture *fixture = fixture_new(family, true, 16, MINUTE_MS);
	struct message query, asked, answer;
	size_t i;

	ask(fixture, 0x0102, "mIxEd", TYPE_A, &query);
	receive(fixture->resolver, &asked);
	assert_int_equal(asked.size, query.size);
	assert_memory_equal(asked.bytes + 2, query.bytes + 2, query.size - 2);
	/* Truncated, with records that nobody looks at: as large as it gets. */
	asked.bytes[2] |= 0x82;
	for (i = asked.size; i < 60000; i++)
		asked.bytes[i] = (uint8_t)i;
	respond(fixture->resolver, &asked, asked.bytes, 60000);
	receive(fixture->client, &answer);
	assert_int_equal(answer.size, 60000);
	assert_int_equal(dns_id(answer.bytes), 0x0102);
	assert_memory_equal(answer.bytes + 2, asked.bytes + 2, 60000 - 2);
	/* SERVFAIL too; and with EDNS. */
	ask(fixture, 0x0304, "x", TYPE_A, &query);
	receive(fixture->resolver, &asked);
	respond_rcode(fixture->resolver, &asked, DNS_SERVFAIL);
	expect(fixture, &query, DNS_SERVFAIL, 0);
	memcpy(query.bytes + query.size, opt, sizeof(opt));
	query.bytes[11] = 1;
	query.size += sizeof(opt);
	assert_int_equal(send(fixture->client, query.bytes, query.size, 0), query.size);
	receive(fixture->resolver, &asked);
	assert_memory_equal(asked.bytes + 2, query.bytes + 2, query.size - 2);
	respond_rcode(fixture->resolver, &asked, DNS_NOERROR);
	expect(fixture, &query, DNS_NOERROR, 0);
	assert_int_equal(fixture->worker.counters.dns_queries, 3);
	assert_int_equal(fixture->worker.counters.dns_failures, 0);
	fixture_free(fixture);
}

static void test_relays(void **state)
{
	(void)state;
	relays(AF_INET);
	relays(AF_INET6);
}

static void test_nxdomain(void **state)
{
	struct fixture *fixture = fixture_new(AF_INET, true, 16, MINUTE_MS);
	struct message query, asked;

	(void)state;
	set_policy(fixture, true, "yes.test");
	ask(fixture, 1, "Yes", TYPE_ANY, &query);
	receive(fixture->resolver, &asked);
	respond_rcode(fixture->resolver, &asked, DNS_NXDOMAIN);
	expect(fixture, &query, DNS_NOERROR, 2);
	ask(fixture, 2, "no", TYPE_A, &query);
	receive(fixture->resolver, &asked);
	respond_rcode(fixture->resolver, &asked, DNS_NXDOMAIN);
	expect(fixture, &query, DNS_NXDOMAIN, 0);
	fixture_free(fixture);
	/* Without a policy nothing is made up. */
	fixture = fixture_new(AF_INET, false, 16, MINUTE_MS);
	ask(fixture, 1, "yes", TYPE_A, &query);
	receive(fixture->resolver, &asked);
	respond_rcode(fixture->resolver, &asked, DNS_NXDOMAIN);
	expect(fixture, &query, DNS_NXDOMAIN, 0);
	fixture_free(fixture);
}

static void test_internet_off(void **state)
{
	struct fixture *fixture = fixture_new(AF_INET6, true, 16, MINUTE_MS);
	struct message query, asked;

	(void)state;
	set_policy(fixture, false, "yes.*");
	ask(fixture, 1, "YES", TYPE_A, &query);
	expect(fixture, &query, DNS_NOERROR, 1);
	ask(fixture, 2, "no", TYPE_A, &query);
	expect(fixture, &query, DNS_NXDOMAIN, 0);
	expect_nothing_asked(fixture);
	/* On again, between two queries. */
	set_policy(fixture, true, "yes.*");
	ask(fixture, 3, "no", TYPE_A, &query);
	receive(fixture->resolver, &asked);
	respond_rcode(fixture->resolver, &asked, DNS_NOERROR);
	expect(fixture, &query, DNS_NOERROR, 0);
	fixture_free(fixture);
}

static void test_silent_resolver(void **state)
{
	struct fixture *fixture = fixture_new(AF_INET, true, 16, 30);
	struct message query, late;

	(void)state;
	set_policy(fixture, true, "yes.test");
	ask(fixture, 1, "yes", TYPE_A, &query);
	receive(fixture->resolver, &late);
	expect(fixture, &query, DNS_NOERROR, 1);
	ask(fixture, 2, "no", TYPE_A, &query);
	expect(fixture, &query, DNS_SERVFAIL, 0);
	receive(fixture->resolver, &late);
	/* Too late: ignored. */
	respond_rcode(fixture->resolver, &late, DNS_NOERROR);
	ask(fixture, 3, "yes", TYPE_A, &query);
	expect(fixture, &query, DNS_NOERROR, 1);
	assert_int_equal(fixture->worker.counters.dns_failures, 3);
	fixture_free(fixture);
}

/* What holds is the policy at the end of the wait, not at its start. */
static void test_switched_off_meanwhile(void **state)
{
	struct fixture *fixture = fixture_new(AF_INET, true, 16, 1000);
	struct message query, asked;

	(void)state;
	set_policy(fixture, true, "yes.test");
	ask(fixture, 1, "no", TYPE_A, &query);
	receive(fixture->resolver, &asked);
	set_policy(fixture, false, "yes.test");
	expect(fixture, &query, DNS_NXDOMAIN, 0);
	fixture_free(fixture);
}

/* Each is told at once, although the sockets are shared. */
static void refused(int family)
{
	struct fixture *fixture = fixture_new(family, true, 256, MINUTE_MS);
	struct message query[40];
	bool seen[ARRAY_SIZE(query)] = {false};
	size_t i;

	set_policy(fixture, true, "yes.test");
	fixture->resolver = safe_close(fixture->resolver);
	for (i = 0; i < ARRAY_SIZE(query); i++)
		ask(fixture, (uint16_t)i, i % 2 ? "yes" : "no", TYPE_A, &query[i]);
	for (i = 0; i < ARRAY_SIZE(query); i++) {
		struct message answer;
		uint16_t id;

		receive(fixture->client, &answer);
		id = dns_id(answer.bytes);
		assert_true(id < ARRAY_SIZE(query) && !seen[id]);
		seen[id] = true;
		assert_int_equal(dns_rcode(answer.bytes), id % 2 ? DNS_NOERROR : DNS_SERVFAIL);
		assert_int_equal(answer.bytes[7], id % 2);
	}
	fixture_free(fixture);
}

static void test_refused(void **state)
{
	(void)state;
	refused(AF_INET);
	refused(AF_INET6);
}

static void test_forged_answers(void **state)
{
	struct fixture *fixture = fixture_new(AF_INET, true, 16, MINUTE_MS);
	union dns_address elsewhere = fixture->address;
	struct message query, asked, forged;
	int other = open_socket(AF_INET);

	(void)state;
	elsewhere.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	bind_to(other, &elsewhere);
	ask(fixture, 1, "name", TYPE_A, &query);
	receive(fixture->resolver, &asked);
	forged = asked;
	respond_rcode(other, &forged, DNS_SERVFAIL);		     /* from elsewhere */
	respond(fixture->resolver, &asked, asked.bytes, asked.size); /* no answer */
	respond(fixture->resolver, &asked, asked.bytes, 5);
	respond(fixture->resolver, &asked, asked.bytes, 0);
	forged.bytes[0] ^= 1; /* another ID */
	respond_rcode(fixture->resolver, &forged, DNS_SERVFAIL);
	forged.bytes[0] ^= 1;
	forged.bytes[13] = 'x'; /* another question */
	respond_rcode(fixture->resolver, &forged, DNS_SERVFAIL);
	respond_rcode(fixture->resolver, &asked, DNS_NOERROR);
	respond_rcode(fixture->resolver, &asked, DNS_NOERROR);
	expect(fixture, &query, DNS_NOERROR, 0);
	ask(fixture, 2, "next", TYPE_A, &query);
	receive(fixture->resolver, &asked);
	respond_rcode(fixture->resolver, &asked, DNS_NOERROR);
	expect(fixture, &query, DNS_NOERROR, 0);
	(void)safe_close(other);
	fixture_free(fixture);
}

static void test_malformed(void **state)
{
	struct fixture *fixture = fixture_new(AF_INET, true, 16, MINUTE_MS);
	struct message query, answer;

	(void)state;
	ask(fixture, 1, "a", TYPE_A, &query);
	receive(fixture->resolver, &answer);
	query.bytes[2] |= 0x80; /* an answer, and not even a header: dropped */
	assert_int_equal(send(fixture->client, query.bytes, query.size, 0), query.size);
	assert_int_equal(send(fixture->client, query.bytes, 11, 0), 11);
	query.bytes[2] = 0x29;
	assert_int_equal(send(fixture->client, query.bytes, query.size, 0), query.size);
	receive(fixture->client, &answer);
	assert_int_equal(dns_rcode(answer.bytes), DNS_NOTIMP);
	query.bytes[2] = 1;
	query.bytes[5] = 0;
	assert_int_equal(send(fixture->client, query.bytes, query.size, 0), query.size);
	receive(fixture->client, &answer);
	assert_int_equal(dns_rcode(answer.bytes), DNS_FORMERR);
	assert_int_equal(answer.size, 12);
	expect_nothing_asked(fixture);
	fixture_free(fixture);
}

static void test_oldest_gives_way(void **state)
{
	struct fixture *fixture = fixture_new(AF_INET, false, 4, MINUTE_MS);
	struct message query[5], asked;
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++)
		ask(fixture, (uint16_t)i, "name", TYPE_A, &query[i]);
	expect(fixture, &query[0], DNS_SERVFAIL, 0);
	for (i = 0; i < 5; i++) {
		receive(fixture->resolver, &asked);
		respond_rcode(fixture->resolver, &asked, DNS_NOERROR);
		if (i > 0)
			expect(fixture, &query[i], DNS_NOERROR, 0);
	}
	fixture_free(fixture);
}

#define MANY 5000
#define STEP 50

/* What is asked and answered in steps fits the sockets' queues; the resolver answers the last
 * first. */
static void test_many_in_flight(void **state)
{
	struct fixture *fixture = fixture_new(AF_INET, true, DNS_QUERIES_MAX, MINUTE_MS);
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
			ask(fixture, (uint16_t)at, "n", TYPE_A, query);
		for (at = i; at < i + STEP; at++) {
			receive(fixture->resolver, asked);
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
			respond_rcode(fixture->resolver, asked, DNS_NOERROR);
		}
		for (at = i; at < i + STEP; at++) {
			uint16_t id;

			receive(fixture->client, asked);
			id = dns_id(asked->bytes);
			assert_true(id < MANY && !seen[id]);
			seen[id] = true;
		}
	}
	assert_int_equal(fixture->worker.counters.dns_failures, 0);
	fixture_free(fixture);
	free(seen);
	free(flight);
	free(query);
	free(asked);
}

/* What the kernel side does not know would be steered back to the relay: it must not be used. */
static void test_socket_not_announced(void **state)
{
	struct fixture fixture = {.own_error = -EPERM};
	int listeners[2] = {-1, -1};

	(void)state;
	fixture.shared.config.announcer = (struct dial_announcer) {own_socket, &fixture};
	fixture.worker.shared = &fixture.shared;
	fixture.worker.loop = loop_new();
	open_sockets(&fixture, AF_INET);
	listeners[0] = fixture.listener;
	assert_int_equal(dns_relay_new(&fixture.worker, listeners, 1, 1, &fixture.relay), 0);
	assert_int_equal(dns_relay_open(fixture.relay), -EPERM);
	assert_int_equal(fixture.owned, 1);
	dns_relay_free(fixture.relay);
	assert_int_equal(dns_relay_open(NULL), 0);
	loop_free(fixture.worker.loop);
	(void)safe_close(fixture.listener);
	(void)safe_close(fixture.client);
	(void)safe_close(fixture.resolver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relays),
		cmocka_unit_test(test_nxdomain),
		cmocka_unit_test(test_internet_off),
		cmocka_unit_test(test_silent_resolver),
		cmocka_unit_test(test_switched_off_meanwhile),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_forged_answers),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_oldest_gives_way),
		cmocka_unit_test(test_many_in_flight),
		cmocka_unit_test(test_socket_not_announced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
