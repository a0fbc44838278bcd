// SPDX-License-Identifier: Apache-2.0
#include "support/tls_bed.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/log.h"
#include "lib/util.h"

static struct tls_authority *authority;
struct tls_clients tls_clients;

int tls_beds_set_up(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	(void)signal(SIGPIPE, SIG_IGN);
	if (tls_authority_new(NULL, &authority) < 0)
		return -1;
	tls_clients.any = tls_client_context(authority, 0);
	tls_clients.old = tls_client_context(authority, TLS1_2_VERSION);
	tls_clients.new = tls_client_context(authority, TLS1_3_VERSION);
	return 0;
}

int tls_beds_tear_down(void **state)
{
	(void)state;
	SSL_CTX_free(tls_clients.any);
	SSL_CTX_free(tls_clients.old);
	SSL_CTX_free(tls_clients.new);
	tls_authority_free(authority);
	return 0;
}

static void tcp_pair(int pair[2], int buffer)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (buffer) {
		assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(int)),
				 0);
		assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(int)),
				 0);
	}
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(connect(pair[0], (struct sockaddr *)&address, size), 0);
	pair[1] = accept(listener, NULL, NULL);
	assert_true(pair[1] >= 0);
	close(listener);
	/* As the proxy does. Otherwise bytes may still wait for an acknowledgement at a reset. */
	(void)setsockopt(pair[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(pair[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void handshaken(struct relay *relay, const struct tls_failure *failure)
{
	struct tls_bed *bed = container_of(relay, struct tls_bed, relay);

	bed->handshakes++;
	if (failure)
		bed->failure = *failure;
}

static void finished(struct relay *relay, bool reset)
{
	struct tls_bed *bed = container_of(relay, struct tls_bed, relay);

	assert_false(bed->finished);
	bed->finished = true;
	bed->reset = reset;
	tls_relay_free(bed->tls);
	relay_close(relay, reset);
	loop_stop(bed->loop);
}

static void held(void *context)
{
	struct tls_bed *bed = context;

	(void)pthread_barrier_wait(&bed->hold);
	(void)pthread_barrier_wait(&bed->hold);
}

void tls_bed_hold(struct tls_bed *bed)
{
	loop_wake(bed->loop);
	(void)pthread_barrier_wait(&bed->hold);
}

void tls_bed_release(struct tls_bed *bed)
{
	(void)pthread_barrier_wait(&bed->hold);
}

static void ready_client(struct loop_handler *handler, uint32_t events)
{
	struct tls_bed *bed = container_of(handler, struct tls_bed, relay.side[0]);

	tls_relay_event(bed->tls, 0, events);
}

static void ready_gateway(struct loop_handler *handler, uint32_t events)
{
	struct tls_bed *bed = container_of(handler, struct tls_bed, relay.side[1]);

	tls_relay_event(bed->tls, 1, events);
}

struct tls_bed *tls_bed_new(int buffer, unsigned int handshake_ms)
{
	struct tls_bed *bed = calloc(1, sizeof(*bed));
	int left[2], right[2], i;

	tcp_pair(left, buffer);
	tcp_pair(right, buffer);
	bed->client = left[0];
	bed->gateway = right[1];
	bed->loop = loop_new();
	assert_int_equal(pthread_barrier_init(&bed->hold, NULL, 2), 0);
	loop_on_wake(bed->loop, held, bed);
	bed->pool = relay_pool_new(bed->loop);
	bed->tls_pool = tls_relay_pool_new(bed->pool, handshake_ms);
	assert_non_null(bed->tls_pool);
	relay_init(&bed->relay, bed->pool);
	bed->relay.finish = finished;
	bed->relay.side[0].ready = ready_client;
	bed->relay.side[1].ready = ready_gateway;
	for (i = 0; i < 2; i++) {
		int fd = i ? right[0] : left[1];

		assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
		bed->relay.side[i].latched = EPOLLIN | EPOLLOUT;
		assert_int_equal(loop_add(bed->loop, &bed->relay.side[i], fd, RELAY_EVENTS), 0);
	}
	return bed;
}

static void *bed_thread(void *context)
{
	struct tls_bed *bed = context;
	sigset_t all;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
	tls_relay_start(bed->tls);
	if (!bed->finished)
		(void)loop_run(bed->loop);
	return NULL;
}

void tls_bed_start(struct tls_bed *bed, const char *name, const void *first, size_t size)
{
	char *copy = size ? malloc(size) : NULL;

	if (size)
		memcpy(copy, first, size);
	bed->tls = tls_relay_new(&bed->relay, bed->tls_pool,
				 tls_authority_accept(authority, name, NULL), copy, size);
	assert_non_null(bed->tls);
	bed->tls->handshaken = handshaken;
	assert_int_equal(pthread_create(&bed->thread, NULL, bed_thread, bed), 0);
}

void tls_bed_join(struct tls_bed *bed)
{
	if (!bed->joined)
		assert_int_equal(pthread_join(bed->thread, NULL), 0);
	bed->joined = true;
}

void tls_bed_end(struct tls_bed *bed, bool reset)
{
	tls_bed_join(bed);
	assert_true(bed->finished);
	assert_int_equal(bed->reset, reset);
	assert_int_equal(bed->handshakes, 1);
	loop_flush(bed->loop);
	tls_relay_pool_free(bed->tls_pool);
	relay_pool_free(bed->pool);
	loop_free(bed->loop);
	if (bed->client >= 0)
		close(bed->client);
	if (bed->gateway >= 0)
		close(bed->gateway);
	free(bed);
}

SSL *tls_bed_connect(struct tls_bed *bed, SSL_CTX *context)
{
	SSL *ssl = tls_client_new(context, bed->client, "a.example", NULL);

	tls_bed_start(bed, "a.example", NULL, 0);
	tls_expect_connect(ssl);
	return ssl;
}

void tls_bed_reset(int *fd)
{
	relay_reset_on_close(*fd);
	*fd = safe_close(*fd);
}

void tls_bed_expect_reset(int fd)
{
	assert_int_equal(recv(fd, &(char) {0}, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

void tls_bed_expect_reset_soon(int fd)
{
	char block[4096];
	ssize_t size;

	while ((size = recv(fd, block, sizeof(block), 0)) > 0)
		;
	assert_int_equal(size, -1);
	assert_int_equal(errno, ECONNRESET);
}
