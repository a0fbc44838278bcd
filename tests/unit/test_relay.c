// SPDX-License-Identifier: Apache-2.0
/* The relay with small exchanges, half-closes and resets. */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/tcp.h>

#include <cmocka.h>

#include "stream/relay_pump.h"
#include "support/peer.h"
#include "support/relay_bed.h"

static void half_close(bool local)
{
	struct relay_bed *bed = relay_bed_new(local, 0);

	relay_bed_start(bed);
	assert_int_equal(send(bed->left, "ask", 3, 0), 3);
	assert_int_equal(shutdown(bed->left, SHUT_WR), 0);
	expect_bytes(bed->right, "ask");
	expect_end(bed->right);
	/* The other direction still works. */
	assert_int_equal(send(bed->right, "answer", 6, 0), 6);
	expect_bytes(bed->left, "answer");
	assert_int_equal(send(bed->right, "more", 4, 0), 4);
	assert_int_equal(shutdown(bed->right, SHUT_WR), 0);
	expect_bytes(bed->left, "more");
	expect_end(bed->left);
	relay_bed_end(bed, false);

	bed = relay_bed_new(local, 0);
	relay_bed_start(bed);
	assert_int_equal(shutdown(bed->right, SHUT_WR), 0);
	expect_end(bed->left);
	assert_int_equal(send(bed->left, "ask", 3, 0), 3);
	expect_bytes(bed->right, "ask");
	assert_int_equal(shutdown(bed->left, SHUT_WR), 0);
	expect_end(bed->right);
	relay_bed_end(bed, false);
}

static void test_half_close(void **state)
{
	(void)state;
	half_close(false);
	half_close(true);
}

static uint32_t segments_in(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	return info.tcpi_segs_in;
}

/* A FIN that is known to follow goes in the last data's packet. */
static void test_end_with_data(void **state)
{
	struct relay_bed *bed = relay_bed_new(false, 0);
	uint32_t before = segments_in(bed->right);

	(void)state;
	assert_int_equal(send(bed->left, "ask", 3, 0), 3);
	assert_int_equal(shutdown(bed->left, SHUT_WR), 0);
	bed->relay.side[0].latched |= EPOLLRDHUP;
	relay_bed_start(bed);
	expect_bytes(bed->right, "ask");
	expect_end(bed->right);
	assert_int_equal(segments_in(bed->right) - before, 1);
	assert_int_equal(shutdown(bed->right, SHUT_WR), 0);
	expect_end(bed->left);
	relay_bed_end(bed, false);
}

static void test_reset_passes(void **state)
{
	int direction;

	(void)state;
	for (direction = 0; direction < 2; direction++) {
		struct relay_bed *bed = relay_bed_new(false, 0);
		int *from = direction ? &bed->right : &bed->left;
		int to = direction ? bed->left : bed->right;

		relay_bed_start(bed);
		assert_int_equal(send(*from, "x", 1, 0), 1);
		expect_bytes(to, "x");
		relay_reset_on_close(*from);
		close(*from);
		*from = -1;
		expect_reset(to);
		*(direction ? &bed->left : &bed->right) = -1;
		relay_bed_end(bed, true);
	}
}

/* Bytes and the RST behind them come in one event, perhaps behind a write that meets the RST. */
static void reset_with_data(bool local, bool right, bool write_first, size_t size)
{
	struct relay_bed *bed = relay_bed_new(local, 0);
	int *from = right ? &bed->right : &bed->left, *to = right ? &bed->left : &bed->right;
	char *sent = malloc(size), *received = malloc(size);
	static const int room = 16 << 20;

	(void)setsockopt(*from, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	(void)setsockopt(bed->relay.side[!right].fd, SOL_SOCKET, SO_SNDBUFFORCE, &room,
			 sizeof(room));
	memset(sent, 'x', size);
	assert_int_equal(send(*from, sent, size, MSG_DONTWAIT), size);
	/* A unix socket is reset if it is closed with bytes unread. */
	if (local)
		assert_int_equal(send(bed->relay.side[right].fd, "unread", 6, 0), 6);
	relay_reset_on_close(*from);
	close(*from);
	*from = -1;
	if (write_first)
		assert_int_equal(relay_queue(&bed->relay, !right, "late", 4), 0);
	bed->relay.side[0].latched = bed->relay.side[1].latched = EPOLLOUT;
	relay_bed_start(bed);
	assert_int_equal(recv(*to, received, size, MSG_WAITALL), size);
	assert_memory_equal(received, sent, size);
	if (local)
		expect_end(*to);
	else
		assert_int_equal(recv(*to, received, 1, 0), -1);
	free(sent);
	free(received);
	relay_bed_end(bed, true);
}

static void test_reset_with_data(void **state)
{
	int way;

	(void)state;
	for (way = 0; way < 8; way++) {
		reset_with_data(way & 4, way & 1, way & 2, 10);
		reset_with_data(way & 4, way & 1, way & 2, 50000);
	}
	/* More than a direction moves in one round. */
	for (way = 0; way < 4; way++)
		reset_with_data(true, way & 1, way & 2, 4 << 20);
}

static void test_reset_behind_half_close(void **state)
{
	struct relay_bed *bed = relay_bed_new(false, 0);

	(void)state;
	relay_bed_start(bed);
	assert_int_equal(shutdown(bed->left, SHUT_WR), 0);
	expect_end(bed->right);
	relay_reset_on_close(bed->right);
	close(bed->right);
	bed->right = -1;
	expect_reset(bed->left);
	bed->left = -1;
	relay_bed_end(bed, true);
}

/* Bytes that were read before the relay started go first. */
static void test_queued_first(void **state)
{
	struct relay_bed *bed = relay_bed_new(false, 0);
	char *owned = strdup("peeked ");

	(void)state;
	relay_queue_owned(&bed->relay, 0, owned, strlen(owned));
	assert_int_equal(relay_queue(&bed->relay, 1, "glued ", 6), 0);
	assert_int_equal(relay_queue(&bed->relay, 1, "twice ", 6), 0);
	assert_int_equal(send(bed->left, "left", 4, 0), 4);
	assert_int_equal(send(bed->right, "right", 5, 0), 5);
	relay_bed_start(bed);
	expect_bytes(bed->right, "peeked left");
	expect_bytes(bed->left, "glued twice right");
	shutdown(bed->left, SHUT_WR);
	shutdown(bed->right, SHUT_WR);
	relay_bed_end(bed, false);
}

static void test_queue_limit(void **state)
{
	struct relay_bed *bed = relay_bed_new(false, 0);
	char *large = calloc(1, RELAY_BUFFER);

	(void)state;
	assert_int_equal(relay_queue(&bed->relay, 0, large, RELAY_BUFFER), 0);
	assert_int_equal(relay_queue(&bed->relay, 0, large, 1), -ENOBUFS);
	assert_int_equal(relay_memory(&bed->relay), RELAY_BUFFER);
	free(large);
	relay_bed_start(bed);
	close(bed->left);
	close(bed->right);
	bed->left = bed->right = -1;
	pthread_join(bed->thread, NULL);
	bed->thread = 0;
	relay_pool_free(bed->pool);
	loop_free(bed->loop);
	free(bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_end_with_data),
		cmocka_unit_test(test_reset_passes),
		cmocka_unit_test(test_reset_with_data),
		cmocka_unit_test(test_reset_behind_half_close),
		cmocka_unit_test(test_queued_first),
		cmocka_unit_test(test_queue_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
