// SPDX-License-Identifier: Apache-2.0
/* The relay with bulk, and with a target that stops. */
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/tcp.h>

#include <cmocka.h>

#include "stream/relay.h"
#include "support/peer.h"
#include "support/relay_bed.h"

/* The reader stops: the relay keeps a bounded amount and stops reading. Later all bytes arrive. */
static void stopped_reader(int buffer, void (*look)(const struct relay_bed *bed, size_t sent))
{
	struct relay_bed *bed = relay_bed_new(false, buffer);
	static char block[65536];
	struct pollfd wait = {.fd = bed->left, .events = POLLOUT};
	size_t sent = 0, received = 0;

	relay_bed_start(bed);
	for (;;) {
		ssize_t size = send(bed->left, block, sizeof(block), MSG_DONTWAIT);

		if (size > 0)
			sent += (size_t)size;
		/* Nothing moves for a while: all buffers are full. */
		else if (poll(&wait, 1, 300) == 0)
			break;
	}
	look(bed, sent);
	shutdown(bed->left, SHUT_WR);
	for (;;) {
		ssize_t size = recv(bed->right, block, sizeof(block), 0);

		if (size <= 0)
			break;
		received += (size_t)size;
	}
	assert_int_equal(received, sent);
	shutdown(bed->right, SHUT_WR);
	relay_bed_end(bed, false);
}

static void bounded(const struct relay_bed *bed, size_t sent)
{
	assert_true(sent < 8 * 1024 * 1024);
	/* Another thread owns it, but it cannot change while nothing is read. */
	assert_true(relay_memory(&bed->relay) <= RELAY_BUFFER + 512 * 1024);
	assert_true(relay_memory(&bed->relay) > 0);
}

static void test_stopped_reader(void **state)
{
	(void)state;
	stopped_reader(16384, bounded);
}

/* Peers on loopback are near, unless the machine is busy. */
static void short_queue_of(int fd, int queue, const char *limit_path, int wanted)
{
	struct tcp_info info;
	socklen_t size = sizeof(info), int_size = sizeof(int);
	int found, limit;
	FILE *file = fopen(limit_path, "re");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &limit), 1);
	fclose(file);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, queue, &found, &int_size), 0);
	if (info.tcpi_min_rtt < 100)
		assert_int_equal(found, 2 * (limit < wanted ? limit : wanted));
}

static void short_queue(const struct relay_bed *bed, size_t sent)
{
	(void)sent;
	short_queue_of(bed->relay.side[0].fd, SO_RCVBUF, "/proc/sys/net/core/rmem_max", 256 * 1024);
}

/* The queue to a near receiver is short, too. */
static void short_send_queue(const struct relay_bed *bed, size_t sent)
{
	(void)sent;
	short_queue_of(bed->relay.side[1].fd, SO_SNDBUF, "/proc/sys/net/core/wmem_max", 512 * 1024);
}

static void test_near_receiver(void **state)
{
	(void)state;
	stopped_reader(0, short_send_queue);
}

static void test_near_sender(void **state)
{
	(void)state;
	stopped_reader(0, short_queue);
}

/* The source is reset while it is not read, because the target is blocked. */
static void test_reset_while_blocked(void **state)
{
	struct relay_bed *bed = relay_bed_new(false, 16384);
	static char block[65536];
	struct pollfd wait = {.fd = bed->left, .events = POLLOUT};

	(void)state;
	relay_bed_start(bed);
	while (send(bed->left, block, sizeof(block), MSG_DONTWAIT) > 0 || poll(&wait, 1, 200) > 0)
		;
	relay_reset_on_close(bed->left);
	close(bed->left);
	bed->left = -1;
	relay_bed_end(bed, true);
}

#define BULK ((size_t)64 * 1024 * 1024)

static uint64_t generate(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

static uint64_t hash(uint64_t sum, const uint8_t *data, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		sum = (sum ^ data[i]) * 0x100000001b3;
	return sum;
}

struct sender {
	int fd;
	size_t chunk;
	uint64_t sum;
};

static void *sender_run(void *context)
{
	struct sender *sender = context;
	uint64_t random = 88172645463325252, *block = malloc(sender->chunk);
	size_t sent = 0, i;

	sender->sum = 0xcbf29ce484222325;
	while (sent < BULK) {
		size_t size = BULK - sent < sender->chunk ? BULK - sent : sender->chunk, done;

		for (i = 0; i < sender->chunk / 8; i++)
			block[i] = generate(&random);
		sender->sum = hash(sender->sum, (const uint8_t *)block, size);
		for (done = 0; done < size;) {
			ssize_t part = send(sender->fd, (char *)block + done, size - done, 0);

			if (part <= 0)
				break;
			done += (size_t)part;
		}
		sent += size;
	}
	(void)shutdown(sender->fd, SHUT_WR);
	free(block);
	return NULL;
}

static uint64_t receive_all(int fd, size_t *ret_size)
{
	static uint8_t block[262144];
	uint64_t sum = 0xcbf29ce484222325;

	*ret_size = 0;
	for (;;) {
		ssize_t size = recv(fd, block, sizeof(block), 0);

		if (size <= 0)
			return sum;
		sum = hash(sum, block, (size_t)size);
		*ret_size += (size_t)size;
	}
}

static void bulk(bool local, size_t chunk, bool splice_expected, bool splice_allowed)
{
	struct relay_bed *bed = relay_bed_new(local, 0);
	struct sender sender = {.fd = bed->left, .chunk = chunk};
	pthread_t thread;
	size_t size;
	uint64_t sum;

	bed->relay.direction[0].no_splice = !splice_allowed;
	relay_bed_start(bed);
	assert_int_equal(pthread_create(&thread, NULL, sender_run, &sender), 0);
	sum = receive_all(bed->right, &size);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(size, BULK);
	assert_true(sum == sender.sum);
	assert_int_equal(send(bed->right, "done", 4, 0), 4);
	expect_bytes(bed->left, "done");
	shutdown(bed->right, SHUT_WR);
	pthread_join(bed->thread, NULL);
	if (splice_expected)
		assert_true(bed->pool->spliced > BULK / 2);
	if (!splice_allowed)
		assert_int_equal(bed->pool->spliced, 0);
	assert_int_equal(bed->relay.moved[0], BULK);
	assert_int_equal(bed->relay.moved[1], 4);
	assert_true(bed->progress > 0);
	assert_true(bed->finished && !bed->reset);
	assert_int_equal(bed->pool->pipes.in_use, 0);
	relay_pool_free(bed->pool);
	loop_free(bed->loop);
	close(bed->left);
	close(bed->right);
	free(bed);
}

static void test_bulk(void **state)
{
	(void)state;
	bulk(false, 1048576, true, true);
	bulk(false, 1048576, false, false);
	bulk(false, 8192, false, true);
	bulk(true, 1048576, false, true);
}

/* After bulk come small exchanges. No byte may stay in a pipe, which goes back to the pool. */
static void test_bulk_then_small(void **state)
{
	struct relay_bed *bed = relay_bed_new(false, 0);
	static char block[1048576];
	int i;

	(void)state;
	relay_bed_start(bed);
	for (i = 0; i < 20; i++) {
		size_t sent = 0, received = 0;

		while (received < sizeof(block)) {
			ssize_t size = send(bed->left, block, sizeof(block) - sent, MSG_DONTWAIT);

			if (size > 0)
				sent += (size_t)size;
			size = recv(bed->right, block, sizeof(block), MSG_DONTWAIT);
			if (size > 0)
				received += (size_t)size;
		}
		assert_int_equal(send(bed->left, "small", 5, 0), 5);
		expect_bytes(bed->right, "small");
		assert_int_equal(send(bed->right, "back", 4, 0), 4);
		expect_bytes(bed->left, "back");
	}
	for (i = 0; i < 20; i++) {
		assert_int_equal(send(bed->left, "small", 5, 0), 5);
		expect_bytes(bed->right, "small");
	}
	shutdown(bed->left, SHUT_WR);
	shutdown(bed->right, SHUT_WR);
	pthread_join(bed->thread, NULL);
	assert_false(bed->relay.direction[0].bulk);
	assert_int_equal(bed->pool->pipes.in_use, 0);
	relay_pool_free(bed->pool);
	loop_free(bed->loop);
	close(bed->left);
	close(bed->right);
	free(bed);
}

#define URGENT_BULK ((size_t)8 * 1024 * 1024)

/* Sends zeros in bulk, and an urgent byte behind each 8 MiB: the last one right before the end. */
static void *urgent_run(void *context)
{
	int fd = *(int *)context, round;
	static char block[1048576];

	for (round = 0; round < 3; round++) {
		size_t sent = 0;

		while (sent < URGENT_BULK) {
			assert_int_equal(send(fd, block, sizeof(block), 0), sizeof(block));
			sent += sizeof(block);
		}
		assert_int_equal(send(fd, "!", 1, MSG_OOB), 1);
	}
	(void)shutdown(fd, SHUT_WR);
	return NULL;
}

/* Urgent bytes pass in their place in the stream, and nothing stops or is cut at them. */
static void test_urgent(void **state)
{
	struct relay_bed *bed = relay_bed_new(false, 0);
	static char block[262144];
	size_t received = 0, found = 0;
	pthread_t thread;
	ssize_t size, i;

	(void)state;
	relay_bed_start(bed);
	assert_int_equal(pthread_create(&thread, NULL, urgent_run, &bed->left), 0);
	while ((size = recv(bed->right, block, sizeof(block), 0)) > 0) {
		for (i = 0; i < size; i++) {
			received++;
			if (block[i])
				assert_int_equal(received, ++found * (URGENT_BULK + 1));
		}
	}
	assert_int_equal(size, 0);
	assert_int_equal(found, 3);
	assert_int_equal(received, 3 * (URGENT_BULK + 1));
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)shutdown(bed->right, SHUT_WR);
	assert_true(bed->pool->spliced > 0);
	relay_bed_end(bed, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stopped_reader), cmocka_unit_test(test_near_sender),
		cmocka_unit_test(test_near_receiver),  cmocka_unit_test(test_reset_while_blocked),
		cmocka_unit_test(test_bulk),	       cmocka_unit_test(test_bulk_then_small),
		cmocka_unit_test(test_urgent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
