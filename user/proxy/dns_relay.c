// SPDX-License-Identifier: Apache-2.0
#include "proxy/dns_relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/address.h"
#include "lib/log.h"
#include "lib/util.h"
#include "proto/dns_message.h"
#include "proxy/dns_event.h"
#include "proxy/dns_policy.h"
#include "proxy/dns_table.h"

/* Batches taken from one socket before other handlers get their turn. */
#define DNS_BURST 4
/* How often a random socket and ID are drawn until they are free. With a full table one draw in 64
 * is taken, so eight in a row are one in 2^48. */
#define DNS_DRAWS 8
/* How often a send is tried: an ICMP error about an earlier query fails the next call, once. */
#define DNS_SENDS 3

#define DNS_PORT 53

struct dns_listener {
	struct loop_handler handler;
	struct dns_relay *relay;
	union dns_address address;
};

struct dns_upstream {
	struct loop_handler handler;
	struct dns_relay *relay;
	uint8_t index;
};

struct dns_relay {
	struct worker *worker;
	struct dns_listener listener[2];
	struct dns_upstream upstream[2 * DNS_UPSTREAMS]; /* IPv4, then IPv6 */
	struct dns_table *table;
	struct dns_io *io;
	struct loop_timer_class query_class;
	uint32_t random[64];
	unsigned int random_left;
};

static bool is_ipv6(const union dns_address *address)
{
	return address->any.sa_family == AF_INET6;
}

static void relay_complain(struct dns_relay *relay, const char *what,
			   const union dns_address *resolver, int error)
{
	static const struct worker_cause cause = {"dns_resolver_failed", EVENT_END_NONE};
	char address[ADDRESS_TEXT_MAX], text[128];

	worker_tell(relay->worker, COMPLAINT_DNS, NULL, &cause,
		    "DNS: %s %s: %s; is the resolver reachable from here?", what,
		    endpoint_format(&resolver->any, address),
		    strerror_r(error, text, sizeof(text)));
}

static const struct proxy_config *config_of(const struct dns_relay *relay)
{
	return &relay->worker->shared->config;
}

static void answer(struct dns_relay *relay, const void *data, size_t size,
		   const union dns_address *resolver, const union dns_address *client)
{
	dns_answer(relay->io, relay->listener[is_ipv6(resolver)].handler.fd, data, size, resolver,
		   client);
}

/* Queues an answer of ours. @failure: why the resolver gave none, or NULL. */
static void answer_alone(struct dns_relay *relay, const struct dns_question *question,
			 const uint8_t *message, size_t size, const union dns_address *resolver,
			 const union dns_address *client, const char *failure)
{
	const struct dns_event_flow flow = {.protocol = IPPROTO_UDP,
					    .client = &client->any,
					    .resolver = &resolver->any};

	dns_event_answer(config_of(relay), &flow, question, message, failure);
	answer(relay, message, size, resolver, client);
}

/* Queues the answer where the resolver gives none. */
static void answer_failure(struct dns_relay *relay, const struct dns_question *question,
			   const union dns_address *resolver, const union dns_address *client,
			   const char *failure)
{
	uint8_t message[DNS_ANSWER_MAX];
	size_t size = dns_policy_failure(config_of(relay), question, message);

	answer_alone(relay, question, message, size, resolver, client, failure);
}

static void flush(struct dns_relay *relay)
{
	char suffix[COMPLAINT_SUFFIX_MAX], text[128];
	int error = 0;
	unsigned int lost = dns_flush(relay->io, &error);

	if (!lost)
		return;
	counter_add(&relay->worker->counters.dns_failures, lost);
	if (complaint_due(&relay->worker->shared->complaints[COMPLAINT_DNS], suffix))
		log_warning("DNS: cannot send an answer to the application: %s%s",
			    strerror_r(error, text, sizeof(text)), suffix);
}

static void query_end(struct dns_relay *relay, struct dns_query *query)
{
	loop_timer_stop(&query->timer);
	dns_table_remove(relay->table, query);
}

/* Queues the answer that the client gets instead, and ends the query. */
static void query_fail(struct dns_query *query, const char *what, int error)
{
	struct dns_relay *relay = query->relay;

	counter_add(&relay->worker->counters.dns_failures, 1);
	relay_complain(relay, what, &query->resolver, error);
	answer_failure(relay, &query->question, &query->resolver, &query->client,
		       relay->worker->fault.message);
	query_end(relay, query);
}

static void query_expired(struct loop_timer *timer)
{
	struct dns_query *query = container_of(timer, struct dns_query, timer);
	struct dns_relay *relay = query->relay;

	query_fail(query, "no answer from", ETIMEDOUT);
	flush(relay);
}

/* Draws from the kernel's generator, 64 numbers at a time. Returns 0 or negative errno. */
static int draw(struct dns_relay *relay, uint32_t *ret_bits)
{
	if (relay->random_left == 0) {
		if (getrandom(relay->random, sizeof(relay->random), 0) !=
		    (ssize_t)sizeof(relay->random))
			return -EIO;
		relay->random_left = ARRAY_SIZE(relay->random);
	}
	*ret_bits = relay->random[--relay->random_left];
	return 0;
}

/* Takes a place in the table, with a random socket and ID. NULL: there is none. */
static struct dns_query *query_new(struct dns_relay *relay, bool ipv6)
{
	struct dns_query *query = NULL;
	uint32_t bits;
	int i;

	if (dns_table_full(relay->table))
		query_fail(dns_table_oldest(relay->table), "too many queries wait for", EBUSY);
	for (i = 0; i < DNS_DRAWS && !query; i++) {
		uint8_t socket;

		if (draw(relay, &bits) < 0)
			return NULL;
		socket = (uint8_t)((bits >> 16) % DNS_UPSTREAMS + (ipv6 ? DNS_UPSTREAMS : 0));
		query = dns_table_add(relay->table, socket, (uint16_t)bits);
	}
	return query;
}

static int query_send(int fd, const void *data, size_t size, const union dns_address *resolver)
{
	int i;

	for (i = 0; i < DNS_SENDS; i++) {
		if (sendto(fd, data, size, MSG_NOSIGNAL, &resolver->any,
			   dns_address_size(resolver)) >= 0)
			return 0;
	}
	return -errno;
}

static void query_start(struct dns_relay *relay, const struct dns_question *question,
			const struct dns_datagram *datagram)
{
	struct dns_query *query = query_new(relay, is_ipv6(&datagram->to));
	int error;

	if (!query) {
		counter_add(&relay->worker->counters.dns_failures, 1);
		answer_failure(relay, question, &datagram->to, &datagram->from,
			       "no query can be sent to the resolver now");
		return;
	}
	query->relay = relay;
	query->client = datagram->from;
	query->resolver = datagram->to;
	query->question = *question;
	query->timer.expired = query_expired;
	loop_timer_start(relay->worker->loop, &relay->query_class, &query->timer);
	dns_set_id(datagram->data, query->id);
	error = query_send(relay->upstream[query->socket].handler.fd, datagram->data,
			   datagram->size, &query->resolver);
	if (error < 0)
		query_fail(query, "cannot ask", -error);
}

/* True if the query was sent to the listener itself. Relaying it there would never end. */
static bool resolver_is_self(const struct dns_relay *relay, const union dns_address *resolver)
{
	return dns_address_equal(&relay->listener[0].address, resolver) ||
	       dns_address_equal(&relay->listener[1].address, resolver);
}

static void query_take(struct dns_relay *relay, const struct dns_datagram *datagram)
{
	bool astray = datagram->to.any.sa_family != datagram->from.any.sa_family ||
		      resolver_is_self(relay, &datagram->to);
	uint8_t message[DNS_ANSWER_MAX];
	struct dns_question question;
	int size = dns_policy_query(config_of(relay), datagram->data, datagram->size, &question,
				    message);

	counter_add(&relay->worker->counters.dns_queries, 1);
	if (size < 0 || astray || (size > 0 && question.size == 0))
		counter_add(&relay->worker->counters.dns_failures, 1);
	if (size == 0 && !astray)
		query_start(relay, &question, datagram);
	else if (size > 0 && !(astray && question.size > 0))
		answer_alone(relay, &question, message, (size_t)size, &datagram->to,
			     &datagram->from, NULL);
}

static in_port_t *port_of(union dns_address *address)
{
	return is_ipv6(address) ? &address->v6.sin6_port : &address->v4.sin_port;
}

/* A query that was led here by its port was sent to port 53. */
static void restore_port(struct dns_listener *listener, union dns_address *to)
{
	if (config_of(listener->relay)->dns_by_port && *port_of(to) == *port_of(&listener->address))
		*port_of(to) = htons(DNS_PORT);
}

static void listener_ready(struct loop_handler *handler, uint32_t events)
{
	struct dns_listener *listener = container_of(handler, struct dns_listener, handler);
	struct dns_relay *relay = listener->relay;
	struct dns_datagram *datagrams;
	int burst, count = DNS_BATCH, i;

	(void)events;
	for (burst = 0; burst < DNS_BURST && count == DNS_BATCH; burst++) {
		count = dns_receive(relay->io, handler->fd, &datagrams);
		for (i = 0; i < count; i++) {
			restore_port(listener, &datagrams[i].to);
			query_take(relay, &datagrams[i]);
		}
		flush(relay);
	}
}

/* Finds the query of a resolver's datagram. NULL: none, or it went to another address. */
static struct dns_query *query_find(const struct dns_upstream *upstream, uint16_t id,
				    const union dns_address *resolver)
{
	struct dns_query *query = dns_table_find(upstream->relay->table, upstream->index, id);

	return query && dns_address_equal(&query->resolver, resolver) ? query : NULL;
}

static void answer_take(struct dns_upstream *upstream, const struct dns_datagram *datagram)
{
	struct dns_relay *relay = upstream->relay;
	uint8_t message[DNS_ANSWER_MAX];
	struct dns_query *query;
	size_t size;

	if (datagram->size < DNS_HEADER_SIZE)
		return;
	query = query_find(upstream, dns_id(datagram->data), &datagram->from);
	/* Not its answer: the query waits on. */
	if (!query || !dns_answers(datagram->data, datagram->size, &query->question))
		return;
	size = dns_policy_answer(config_of(relay), &query->question, datagram->data, datagram->size,
				 message);
	if (size > 0) {
		answer_alone(relay, &query->question, message, size, &query->resolver,
			     &query->client, NULL);
	} else {
		dns_set_id(datagram->data, query->question.id);
		answer(relay, datagram->data, datagram->size, &query->resolver, &query->client);
	}
	query_end(relay, query);
}

static void errors_take(struct dns_upstream *upstream)
{
	union dns_address resolver;
	struct dns_query *query;
	uint16_t id = 0;
	int i, error = 0;

	for (i = 0; i < DNS_BATCH; i++) {
		if (!dns_upstream_error(upstream->handler.fd, &resolver, &id, &error))
			return;
		query = error ? query_find(upstream, id, &resolver) : NULL;
		if (query)
			query_fail(query, "no answer from", error);
	}
}

static void upstream_ready(struct loop_handler *handler, uint32_t events)
{
	struct dns_upstream *upstream = container_of(handler, struct dns_upstream, handler);
	struct dns_relay *relay = upstream->relay;
	struct dns_datagram *datagrams;
	int burst, count = DNS_BATCH, i;

	if (events & EPOLLERR)
		errors_take(upstream);
	/* Also without EPOLLIN: receiving takes an error that has no entry in the queue. */
	for (burst = 0; burst < DNS_BURST && count == DNS_BATCH; burst++) {
		count = dns_receive(relay->io, handler->fd, &datagrams);
		for (i = 0; i < count; i++)
			answer_take(upstream, &datagrams[i]);
		flush(relay);
	}
}

int dns_relay_new(struct worker *worker, const int listeners[2], unsigned int queries_max,
		  unsigned int limit_ms, struct dns_relay **ret_relay)
{
	struct dns_relay *relay = calloc(1, sizeof(*relay));
	socklen_t size;
	size_t i;
	int error;

	if (!relay)
		return -ENOMEM;
	*ret_relay = relay;
	relay->worker = worker;
	loop_timer_class_init(worker->loop, &relay->query_class, limit_ms);
	for (i = 0; i < 2; i++) {
		relay->listener[i].relay = relay;
		relay->listener[i].handler.fd = -1;
		relay->listener[i].handler.ready = listener_ready;
	}
	for (i = 0; i < ARRAY_SIZE(relay->upstream); i++) {
		relay->upstream[i].relay = relay;
		relay->upstream[i].index = (uint8_t)i;
		relay->upstream[i].handler.fd = -1;
		relay->upstream[i].handler.ready = upstream_ready;
	}
	relay->table = dns_table_new(queries_max);
	relay->io = dns_io_new();
	if (!relay->table || !relay->io)
		return -ENOMEM;
	for (i = 0; i < 2; i++) {
		if (listeners[i] < 0)
			continue;
		size = sizeof(relay->listener[i].address);
		if (getsockname(listeners[i], &relay->listener[i].address.any, &size) < 0)
			return -errno;
		/* One of the threads that wait is woken. */
		error = loop_add(worker->loop, &relay->listener[i].handler, listeners[i],
				 EPOLLIN | EPOLLEXCLUSIVE);
		if (error < 0)
			return error;
	}
	return 0;
}

static int upstream_open(struct dns_upstream *upstream)
{
	const struct worker *worker = upstream->relay->worker;
	_cleanup_close_ int fd = dns_upstream_open(upstream->index < DNS_UPSTREAMS ? AF_INET
										   : AF_INET6);
	int error;

	if (fd < 0)
		return fd;
	error = dial_announce(&worker->shared->config.announcer, fd, NULL);
	if (error == 0)
		error = loop_add(worker->loop, &upstream->handler, fd, EPOLLIN);
	if (error == 0)
		(void)TAKE_FD(fd);
	return error;
}

int dns_relay_open(struct dns_relay *relay)
{
	size_t i;
	int error = 0;

	for (i = 0; relay && i < ARRAY_SIZE(relay->upstream) && error == 0; i++) {
		if (relay->listener[i / DNS_UPSTREAMS].handler.fd >= 0 &&
		    relay->upstream[i].handler.fd < 0)
			error = upstream_open(&relay->upstream[i]);
	}
	return error;
}

int dns_relay_announce(struct dns_relay *relay)
{
	size_t i;
	int error = 0;

	for (i = 0; relay && i < ARRAY_SIZE(relay->upstream) && error == 0; i++) {
		int fd = relay->upstream[i].handler.fd;

		if (fd >= 0)
			error = dial_announce(&relay->worker->shared->config.announcer, fd, NULL);
	}
	return error;
}

void dns_relay_free(struct dns_relay *relay)
{
	size_t i;

	if (!relay)
		return;
	while (relay->table && dns_table_oldest(relay->table))
		query_end(relay, dns_table_oldest(relay->table));
	for (i = 0; i < ARRAY_SIZE(relay->upstream); i++)
		loop_close(&relay->upstream[i].handler);
	dns_table_free(relay->table);
	dns_io_free(relay->io);
	free(relay);
}
