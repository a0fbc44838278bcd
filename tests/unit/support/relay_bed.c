// SPDX-License-Identifier: Apache-2.0
#include "support/relay_bed.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "stream/relay_pump.h"

static void tcp_pair(int pair[2], int buffer)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (buffer)
		assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(int)),
				 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (buffer)
		assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(int)),
				 0);
	assert_int_equal(connect(pair[0], (struct sockaddr *)&address, size), 0);
	pair[1] = accept(listener, NULL, NULL);
	assert_true(pair[1] >= 0);
	close(listener);
}

static void unix_pair(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
}

static void progressed(struct relay *relay)
{
	((struct relay_bed *)((char *)relay - offsetof(struct relay_bed, relay)))->progress++;
}

static void finished(struct relay *relay, bool reset)
{
	struct relay_bed *bed =
		(struct relay_bed *)(void *)((char *)relay - offsetof(struct relay_bed, relay));

	assert_false(bed->finished);
	bed->finished = true;
	bed->reset = reset;
	relay_close(relay, reset);
	loop_stop(bed->loop);
}

static struct relay_bed *bed_new(const int side[2], int left, int right)
{
	struct relay_bed *bed = calloc(1, sizeof(*bed));
	int i;

	bed->loop = loop_new();
	assert_non_null(bed->loop);
	bed->pool = relay_pool_new(bed->loop);
	assert_non_null(bed->pool);
	relay_init(&bed->relay, bed->pool);
	bed->relay.progress = progressed;
	bed->relay.finish = finished;
	bed->left = left;
	bed->right = right;
	for (i = 0; i < 2; i++) {
		assert_int_equal(fcntl(side[i], F_SETFL, O_NONBLOCK), 0);
		relay_inline_urgent(side[i]);
		bed->relay.side[i].latched = EPOLLIN | EPOLLOUT;
		assert_int_equal(loop_add(bed->loop, &bed->relay.side[i], side[i], RELAY_EVENTS),
				 0);
	}
	return bed;
}

struct relay_bed *relay_bed_new(bool local, int buffer)
{
	int left[2], right[2];

	if (local) {
		unix_pair(left);
		unix_pair(right);
	} else {
		tcp_pair(left, buffer);
		tcp_pair(right, buffer);
	}
	return bed_new((int[2]) {left[1], right[0]}, left[0], right[1]);
}

static void *bed_thread(void *context)
{
	struct relay_bed *bed = context;
	sigset_t all;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
	if (bed->start)
		bed->start(bed->context);
	else
		relay_start(&bed->relay);
	if (!bed->finished)
		(void)loop_run(bed->loop);
	return NULL;
}

void relay_bed_start(struct relay_bed *bed)
{
	assert_int_equal(pthread_create(&bed->thread, NULL, bed_thread, bed), 0);
}

void relay_bed_end(struct relay_bed *bed, bool reset)
{
	assert_int_equal(pthread_join(bed->thread, NULL), 0);
	assert_true(bed->finished);
	assert_int_equal(bed->reset, reset);
	assert_int_equal(bed->pool->pipes.in_use, 0);
	loop_flush(bed->loop);
	relay_pool_free(bed->pool);
	loop_free(bed->loop);
	if (bed->left >= 0)
		close(bed->left);
	if (bed->right >= 0)
		close(bed->right);
	free(bed);
}
