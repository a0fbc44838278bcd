// SPDX-License-Identifier: Apache-2.0
/* Tests DNS over TCP under the policy. The test is application and resolver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/util.h"
#include "proto/dns_message.h"
#include "proxy/dns_stream.h"
#include "proxy/policy.h"
#include "support/peer.h"
#include "support/relay_bed.h"

#define TYPE_A	   1
#define TYPE_HTTPS 65
#define FRAME_MAX  (2 + 65535)

struct stream_bed {
	struct relay_bed *relay;
	struct proxy_config config;
	struct policy *policy;
	struct dns_stream *stream;
};

struct message {
	uint8_t bytes[FRAME_MAX];
	size_t size; /* with the two octets in front */
};

static void start(void *context)
{
	dns_stream_start(context);
}

static void set_internet(struct stream_bed *bed, bool internet)
{
	const struct policy_change change = {.has_internet = true, .internet = internet};

	assert_int_equal(policy_apply(bed->policy, &change), 0);
}

static struct stream_bed *bed_on(struct relay_bed *relay, bool internet)
{
	static const char *const globs[] = {"yes.test"};
	const struct policy_config policy = {.allowed = globs, .allowed_count = 1};
	static const struct flow flow = {.source.ss_family = AF_INET,
					 .destination.ss_family = AF_INET};
	struct stream_bed *bed = calloc(1, sizeof(*bed));

	bed->relay = relay;
	assert_int_equal(policy_new(&policy, &bed->policy), 0);
	bed->config = (struct proxy_config) {.dns = true, .sni_hint = true, .policy = bed->policy};
	set_internet(bed, internet);
	assert_true(dns_stream_judges(&bed->config, 53));
	if (!internet)
		loop_close(&bed->relay->relay.side[1]);
	bed->stream = dns_stream_new(&bed->config, &bed->relay->relay, &flow);
	assert_non_null(bed->stream);
	assert_int_equal(dns_stream_is_alone(bed->stream), !internet);
	return bed;
}

static struct stream_bed *bed_new(bool internet, int buffer)
{
	return bed_on(relay_bed_new(false, buffer), internet);
}

static void bed_start(struct stream_bed *bed)
{
	bed->relay->start = start;
	bed->relay->context = bed->stream;
	relay_bed_start(bed->relay);
}

static void bed_end(struct stream_bed *bed, bool reset)
{
	relay_bed_end(bed->relay, reset);
	dns_stream_free(bed->stream);
	policy_free(bed->policy);
	free(bed);
}

/* A message about LABEL.test with a question and nothing else. */
static struct message message_about(const char *label, uint8_t type, uint8_t flags, uint8_t rcode)
{
	static const uint8_t end[] = {4, 't', 'e', 's', 't', 0, 0, 0, 0, 1};
	const uint8_t head[] = {0, 0, 7, 7, flags, rcode, 0, 1, 0, 0, 0, 0, 0, 0};
	size_t length = strlen(label);
	struct message message = {.size = sizeof(head) + 1 + length + sizeof(end)};

	memcpy(message.bytes, head, sizeof(head));
	message.bytes[1] = (uint8_t)(message.size - 2);
	message.bytes[sizeof(head)] = (uint8_t)length;
	memcpy(message.bytes + sizeof(head) + 1, label, length);
	memcpy(message.bytes + sizeof(head) + 1 + length, end, sizeof(end));
	message.bytes[message.size - 3] = type;
	return message;
}

static struct message query_about(const char *label)
{
	return message_about(label, TYPE_A, 1, 0);
}

static void put_message(int fd, const struct message *message)
{
	put(fd, message->bytes, message->size);
}

static void get(int fd, void *data, size_t size)
{
	assert_int_equal(recv(fd, data, size, MSG_WAITALL), size);
}

static void get_message(int fd, struct message *ret_message)
{
	get(fd, ret_message->bytes, 2);
	ret_message->size = 2 + ((size_t)ret_message->bytes[0] << 8 | ret_message->bytes[1]);
	get(fd, ret_message->bytes + 2, ret_message->size - 2);
}

static void expect_message(int fd, const struct message *wanted)
{
	struct message message;

	get_message(fd, &message);
	assert_int_equal(message.size, wanted->size);
	assert_memory_equal(message.bytes, wanted->bytes, wanted->size);
}

/* The next answer has this rcode, and so many records. */
static void expect_answer(int fd, uint8_t rcode, uint8_t records)
{
	struct message message;

	get_message(fd, &message);
	assert_int_equal(message.bytes[3], 7);
	assert_int_equal(message.bytes[4] & 0x80, 0x80);
	assert_int_equal(message.bytes[5] & 15, rcode);
	assert_int_equal(message.bytes[9], records);
}

static void test_alone(void **state)
{
	struct stream_bed *bed = bed_new(false, 0);
	struct message yes = query_about("yes"), no = query_about("no");
	int client = bed->relay->left;
	size_t i;

	(void)state;
	bed_start(bed);
	put_message(client, &yes);
	put_message(client, &no);
	expect_answer(client, DNS_NOERROR, 1);
	expect_answer(client, DNS_NXDOMAIN, 0);
	for (i = 0; i < no.size; i++)
		put(client, no.bytes + i, 1);
	expect_answer(client, DNS_NXDOMAIN, 0);
	no.bytes[4] = 5 << 3; /* UPDATE */
	put_message(client, &no);
	expect_answer(client, DNS_NOTIMP, 0);
	/* The last one ends with the stream. */
	put_message(client, &yes);
	put(client, "\0", 1);
	shutdown(client, SHUT_WR);
	expect_answer(client, DNS_NOERROR, 1);
	expect_end(client);
	bed_end(bed, false);
}

/* A message without an answer ends the connection, and so does the return of the internet. */
static void test_alone_ends(void **state)
{
	struct stream_bed *bed = bed_new(false, 0);
	struct message no = query_about("no");

	(void)state;
	bed_start(bed);
	put(bed->relay->left, "\0\3abc", 5);
	bed_end(bed, true);
	bed = bed_new(false, 0);
	bed_start(bed);
	put_message(bed->relay->left, &no);
	expect_answer(bed->relay->left, DNS_NXDOMAIN, 0);
	set_internet(bed, true);
	put_message(bed->relay->left, &no);
	bed_end(bed, true);
}

static void test_relayed(void **state)
{
	static const uint8_t ech[] = {0xc0, 12, 0, 65, 0, 1, 0, 0, 0,	9,  0,
				      9,    0,	1, 0,  0, 5, 0, 2, 'h', 'i'};
	struct stream_bed *bed = bed_new(true, 0);
	struct message query = query_about("yes"), answer;
	int client = bed->relay->left, resolver = bed->relay->right;

	(void)state;
	bed_start(bed);
	put_message(client, &query);
	expect_message(resolver, &query);
	answer = message_about("yes", TYPE_A, 0x81, 0x80 | DNS_NXDOMAIN);
	put_message(resolver, &answer);
	expect_answer(client, DNS_NOERROR, 1);
	answer = message_about("no", TYPE_A, 0x81, 0x80 | DNS_NXDOMAIN);
	put_message(resolver, &answer);
	expect_message(client, &answer);
	answer = message_about("yes", TYPE_HTTPS, 0x81, 0x80);
	answer.bytes[9] = 1;
	memcpy(answer.bytes + answer.size, ech, sizeof(ech));
	answer.size += sizeof(ech);
	answer.bytes[1] = (uint8_t)(answer.size - 2);
	put_message(resolver, &answer);
	memcpy(answer.bytes + answer.size - 6, "\xff\0\0\2\0\0", 6);
	expect_message(client, &answer);
	/* The largest message, and one that is none. */
	memset(answer.bytes, 0xff, FRAME_MAX);
	answer.size = FRAME_MAX;
	put_message(resolver, &answer);
	expect_message(client, &answer);
	put(resolver, "\0\2hi", 4);
	get(client, answer.bytes, 4);
	assert_memory_equal(answer.bytes, "\0\2hi", 4);
	assert_int_equal(bed->relay->relay.moved[0], query.size);
	shutdown(client, SHUT_WR);
	expect_end(resolver);
	put_message(resolver, &query);
	expect_message(client, &query);
	close(resolver);
	bed->relay->right = -1;
	expect_end(client);
	/* So the gateway's connection ends in TIME_WAIT. */
	assert_true(bed->relay->relay.led[1]);
	bed_end(bed, false);
}

/* The resolver's reset stands behind its answers, and the client gets them all: if the reset is
 * seen first, and if a query meets it. Unix sockets deliver what stands before a reset in any case.
 */
static void answers_and_reset(bool query_first)
{
	struct stream_bed *bed = bed_on(relay_bed_new(true, 0), true);
	struct message query = query_about("yes"), answer = message_about("no", TYPE_A, 0x81, 0x80);
	int client = bed->relay->left, i;

	if (query_first)
		put_message(client, &query);
	/* More than a lane moves in one round. */
	for (i = 0; i < 100; i++)
		put_message(bed->relay->right, &answer);
	/* A unix socket is reset if it is closed with bytes unread. */
	put(bed->relay->relay.side[1].fd, "unread", 6);
	close(bed->relay->right);
	bed->relay->right = -1;
	if (!query_first)
		put_message(client, &query);
	/* The kernel reports the sides in the order in which something came. */
	bed->relay->relay.side[0].latched = bed->relay->relay.side[1].latched = EPOLLOUT;
	bed_start(bed);
	for (i = 0; i < 100; i++)
		expect_message(client, &answer);
	expect_end(client);
	bed_end(bed, true);
}

static void test_reset_behind_answers(void **state)
{
	(void)state;
	answers_and_reset(false);
	answers_and_reset(true);
}

/* A message without an answer ends the connection, but not before the answers to others. Nothing of
 * it passes. */
static void test_answers_before_the_end(void **state)
{
	struct stream_bed *bed = bed_new(true, 0);
	struct message query = query_about("yes"), answer = message_about("no", TYPE_A, 0x81, 0x80);
	int client = bed->relay->left, resolver = bed->relay->right;

	(void)state;
	put_message(client, &query);
	put(client, "\0\3abc", 5);
	put_message(resolver, &answer);
	bed_start(bed);
	expect_message(client, &answer);
	expect_reset(client);
	expect_message(resolver, &query);
	expect_reset(resolver);
	bed->relay->left = bed->relay->right = -1;
	bed_end(bed, true);
}

/* A server that speaks first may reset at once. */
static void test_reset_behind_greeting(void **state)
{
	struct stream_bed *bed = bed_new(true, 0);

	(void)state;
	put(bed->relay->right, "220 bye", 7);
	relay_reset_on_close(bed->relay->right);
	close(bed->relay->right);
	bed->relay->right = -1;
	bed->relay->relay.side[0].latched = bed->relay->relay.side[1].latched = EPOLLOUT;
	bed_start(bed);
	expect_bytes(bed->relay->left, "220 bye");
	expect_reset(bed->relay->left);
	bed->relay->left = -1;
	bed_end(bed, true);
}

/* The policy counts for each query. */
static void test_switched_off(void **state)
{
	struct stream_bed *bed = bed_new(true, 0);
	struct message first = query_about("first"), no = query_about("no");
	int client = bed->relay->left, resolver = bed->relay->right;

	(void)state;
	bed_start(bed);
	put_message(client, &first);
	expect_message(resolver, &first);
	set_internet(bed, false);
	put_message(client, &no);
	expect_answer(client, DNS_NXDOMAIN, 0);
	set_internet(bed, true);
	put_message(client, &first);
	expect_message(resolver, &first);
	shutdown(client, SHUT_WR);
	expect_end(resolver);
	shutdown(resolver, SHUT_WR);
	expect_end(client);
	bed_end(bed, false);
}

static void test_other_protocols(void **state)
{
	static const char *const beginnings[] = {"GET / HTTP/1.1\r\n", "SSH-2.0-x\r\n",
						 "\0\5\0\1\0\0"};
	char data[32];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(beginnings); i++) {
		struct stream_bed *bed = bed_new(true, 0);
		int client = bed->relay->left, server = bed->relay->right;

		bed_start(bed);
		/* The server speaks first to the last one. */
		if (i + 1 < ARRAY_SIZE(beginnings)) {
			put(client, beginnings[i], strlen(beginnings[i]));
			get(server, data, strlen(beginnings[i]));
		} else {
			put(server, "220 hello", 9);
		}
		put(server, "x", 1);
		get(client, data, i + 1 < ARRAY_SIZE(beginnings) ? 1 : 10);
		shutdown(client, SHUT_WR);
		expect_end(server);
		shutdown(server, SHUT_WR);
		expect_end(client);
		bed_end(bed, false);
	}
}

/* The client reads late, while answers of both kinds come for it. None mixes with another. */
static void test_blocked(void **state)
{
	struct stream_bed *bed = bed_new(true, 4096);
	struct message large = {.size = FRAME_MAX}, no = query_about("no"), got;
	int client = bed->relay->left, resolver = bed->relay->right;
	int i, alone = 0, relayed = 0;

	(void)state;
	memset(large.bytes, 0xff, FRAME_MAX);
	/* The resolver sends all of it while nobody reads. */
	assert_int_equal(setsockopt(resolver, SOL_SOCKET, SO_SNDBUFFORCE, &(int) {4 * FRAME_MAX},
				    sizeof(int)),
			 0);
	bed_start(bed);
	put_message(client, &no);
	expect_message(resolver, &no);
	set_internet(bed, false);
	put_message(resolver, &large);
	put_message(client, &no);
	put_message(client, &no);
	for (i = 0; i < 3; i++) {
		get_message(client, &got);
		alone += got.size < 100;
		relayed += got.size == FRAME_MAX;
	}
	assert_int_equal(alone, 2);
	assert_int_equal(relayed, 1);
	shutdown(client, SHUT_WR);
	expect_end(resolver);
	shutdown(resolver, SHUT_WR);
	expect_end(client);
	bed_end(bed, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_alone_ends),
		cmocka_unit_test(test_relayed),
		cmocka_unit_test(test_switched_off),
		cmocka_unit_test(test_reset_behind_answers),
		cmocka_unit_test(test_answers_before_the_end),
		cmocka_unit_test(test_reset_behind_greeting),
		cmocka_unit_test(test_other_protocols),
		cmocka_unit_test(test_blocked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
