// SPDX-License-Identifier: Apache-2.0
#include "support/dns_bed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <cmocka.h>

#include "lib/log.h"
#include "lib/util.h"

int dns_bed_announce(void *context, int fd, const struct sockaddr *destination)
{
	struct dns_bed *bed = context;
	union dns_address bound;
	socklen_t size = sizeof(bound);

	assert_null(destination);
	assert_int_equal(getsockname(fd, &bound.any, &size), 0);
	assert_int_not_equal(bound.v4.sin_port, 0);
	bed->owned++;
	return bed->own_error;
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

int open_socket(int family)
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

void bind_to(int fd, const union dns_address *address)
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

void dns_bed_sockets(struct dns_bed *bed, int family)
{
	union dns_address any = {.any.sa_family = (sa_family_t)family}, *own = &bed->address;

	bed->listener = open_socket(family);
	bed->client = open_socket(family);
	bed->resolver = open_socket(family);
	assert_int_equal(dns_listener_prepare(bed->listener, family), 0);
	bind_to(bed->listener, &any);
	*own = bound_to(bed->listener);
	if (family == AF_INET6)
		own->v6.sin6_addr = in6addr_loopback;
	else
		own->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind_to(bed->resolver, own);
	/* A connected socket gets no answers from other addresses. */
	assert_int_equal(connect(bed->client, &own->any, dns_address_size(own)), 0);
}

struct dns_bed *dns_bed_new(int family, bool with_policy, unsigned int queries_max,
			    unsigned int limit_ms)
{
	static const char *const search[] = {"search.test"};
	const struct policy_config config = {.search = search, .search_count = 1};
	struct dns_bed *bed = calloc(1, sizeof(*bed));
	union dns_address client;
	int listeners[2] = {-1, -1};

	log_set_level(LOG_ERROR);
	if (with_policy)
		assert_int_equal(policy_new(&config, &bed->policy), 0);
	bed->shared.config.policy = bed->policy;
	bed->shared.config.announcer = (struct dial_announcer) {dns_bed_announce, bed};
	bed->worker.shared = &bed->shared;
	bed->worker.loop = loop_new();
	loop_on_wake(bed->worker.loop, woken, bed->worker.loop);
	dns_bed_sockets(bed, family);
	listeners[family == AF_INET6] = bed->listener;
	assert_int_equal(dns_relay_new(&bed->worker, listeners, queries_max, limit_ms, &bed->relay),
			 0);
	client = bound_to(bed->client);
	assert_int_equal(connect(bed->listener, &client.any, dns_address_size(&client)), 0);
	assert_int_equal(dns_relay_open(bed->relay), 0);
	assert_int_equal(bed->owned, DNS_UPSTREAMS);
	assert_int_equal(pthread_create(&bed->thread, NULL, run, bed->worker.loop), 0);
	return bed;
}

void dns_bed_free(struct dns_bed *bed)
{
	loop_wake(bed->worker.loop);
	assert_int_equal(pthread_join(bed->thread, NULL), 0);
	dns_relay_free(bed->relay);
	loop_flush(bed->worker.loop);
	loop_free(bed->worker.loop);
	policy_free(bed->policy);
	(void)safe_close(bed->listener);
	(void)safe_close(bed->client);
	(void)safe_close(bed->resolver);
	free(bed);
}

void set_policy(struct dns_bed *bed, bool internet, const char *glob)
{
	struct policy_change change = {.has_internet = true,
				       .internet = internet,
				       .has_allowed = true,
				       .allowed = &glob,
				       .allowed_count = 1};

	assert_int_equal(policy_apply(bed->policy, &change), 0);
}

void ask(const struct dns_bed *bed, uint16_t id, const char *label, uint8_t type,
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
	assert_int_equal(send(bed->client, bytes, ret_query->size, 0), ret_query->size);
}

void receive(int fd, struct message *ret_message)
{
	socklen_t size = sizeof(ret_message->from);
	ssize_t got = recvfrom(fd, ret_message->bytes, sizeof(ret_message->bytes), 0,
			       &ret_message->from.any, &size);

	assert_true(got >= 0);
	ret_message->size = (size_t)got;
}

void respond(int fd, const struct message *query, const void *bytes, size_t size)
{
	assert_int_equal(
		sendto(fd, bytes, size, 0, &query->from.any, dns_address_size(&query->from)), size);
}

void respond_rcode(int fd, struct message *query, enum dns_rcode rcode)
{
	query->bytes[2] |= 0x80;
	query->bytes[3] = (uint8_t)rcode;
	respond(fd, query, query->bytes, query->size);
}

void expect(const struct dns_bed *bed, const struct message *query, enum dns_rcode rcode,
	    unsigned int records)
{
	struct message answer;

	receive(bed->client, &answer);
	assert_int_equal(dns_id(answer.bytes), dns_id(query->bytes));
	assert_true(answer.size >= query->size);
	assert_memory_equal(answer.bytes + 12, query->bytes + 12, query->size - 12);
	assert_int_equal(dns_rcode(answer.bytes), rcode);
	assert_int_equal(answer.bytes[7], records);
	if (records)
		assert_int_equal(answer.bytes[2], 0x85); /* QR, AA, RD */
}

void expect_nothing_asked(const struct dns_bed *bed)
{
	assert_int_equal(recv(bed->resolver, &(char) {0}, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}
