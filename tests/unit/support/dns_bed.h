/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A DNS relay that runs in a thread of its own. The test is application and resolver, over
 * loopback.
 *
 * All three sockets share one port. The listener is connected to the application's socket, so it
 * gets the application's datagrams, and the resolver's socket gets the rest. To the relay the
 * resolver's address is the original destination.
 */
#ifndef SIDESTEP_TESTS_DNS_BED_H
#define SIDESTEP_TESTS_DNS_BED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/dns_message.h"
#include "proxy/dns_relay.h"
#include "proxy/dns_socket.h"
#include "proxy/policy.h"
#include "proxy/worker.h"

#define MINUTE_MS 60000
#define TYPE_A	  1
#define TYPE_ANY  255

struct dns_bed {
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

/* The announcer of a bed: counts, and returns own_error. */
int dns_bed_announce(void *context, int fd, const struct sockaddr *destination);

/* Opens a UDP socket whose port others may share. */
int open_socket(int family);
void bind_to(int fd, const union dns_address *address);

/* Opens the bed's sockets, as dns_bed_new() does. */
void dns_bed_sockets(struct dns_bed *bed, int family);

/* Starts a relay. @queries_max and @limit_ms are dns_relay_new()'s. */
struct dns_bed *dns_bed_new(int family, bool with_policy, unsigned int queries_max,
			    unsigned int limit_ms);

void dns_bed_free(struct dns_bed *bed);

void set_policy(struct dns_bed *bed, bool internet, const char *glob);

/* The application asks for LABEL.Test. */
void ask(const struct dns_bed *bed, uint16_t id, const char *label, uint8_t type,
	 struct message *ret_query);

void receive(int fd, struct message *ret_message);

/* Answer @query from the socket @fd. */
void respond(int fd, const struct message *query, const void *bytes, size_t size);
void respond_rcode(int fd, struct message *query, enum dns_rcode rcode);

/* The application's next answer has the query's ID and question, and this response code. */
void expect(const struct dns_bed *bed, const struct message *query, enum dns_rcode rcode,
	    unsigned int records);

void expect_nothing_asked(const struct dns_bed *bed);

#endif
