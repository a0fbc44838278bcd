/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TLS relay between loopback sockets, in a thread of its own. The test is the client, with
 * OpenSSL, and the gateway, both with blocking sockets.
 */
#ifndef SIDESTEP_TESTS_TLS_BED_H
#define SIDESTEP_TESTS_TLS_BED_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "support/tls_client.h"
#include "tls/tls_relay.h"

/* Contexts of clients that trust the beds' authority: of any version, TLS 1.2 and TLS 1.3. */
struct tls_clients {
	SSL_CTX *any, *old, *new;
};
extern struct tls_clients tls_clients;

struct tls_bed {
	struct loop *loop;
	struct relay_pool *pool;
	struct tls_relay_pool *tls_pool;
	struct relay relay;
	struct tls_relay *tls;
	pthread_t thread;
	int client, gateway; /* the peers of sides 0 and 1; -1: closed by the test */
	int handshakes;	     /* calls of handshaken() */
	struct tls_failure failure;
	bool finished, reset, joined;
	pthread_barrier_t hold;
};

/* Make and free authority and contexts, for cmocka_run_group_tests(). */
int tls_beds_set_up(void **state);
int tls_beds_tear_down(void **state);

/* @buffer: size of the sockets' buffers; 0: the default. */
struct tls_bed *tls_bed_new(int buffer, unsigned int handshake_ms);

/* Starts the relay with a leaf for @name. The @size bytes at @first were already read from the
 * client. */
void tls_bed_start(struct tls_bed *bed, const char *name, const void *first, size_t size);

/* Starts the relay with a leaf for a.example, and connects a client to it. */
SSL *tls_bed_connect(struct tls_bed *bed, SSL_CTX *context);

/* Stops the relay's thread between two rounds of its loop, and lets it go on. */
void tls_bed_hold(struct tls_bed *bed);
void tls_bed_release(struct tls_bed *bed);

/* Waits for the relay's end. Its fields may be read then. */
void tls_bed_join(struct tls_bed *bed);

/* Joins, checks that there was one handshake and whether the end was a reset, and frees. */
void tls_bed_end(struct tls_bed *bed, bool reset);

/* Resets a peer's connection, and sets @fd to -1. */
void tls_bed_reset(int *fd);

/* The relay resets a peer's connection: at once, or perhaps behind other bytes. */
void tls_bed_expect_reset(int fd);
void tls_bed_expect_reset_soon(int fd);

#endif
