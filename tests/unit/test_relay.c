// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/tcp.h>

#include <cmocka.h>

#include "stream/relay.h"

/* The relay runs in a thread of its own, the test is both peers, with blocking sockets. */
struct fixture {
	struct loop *loop;
	struct relay_pool *pool;
	struct relay relay;
	pthread_t thread;
	int left, right; /* the peers of sides 0 and 1 */
	bool finished, reset;
	int progress;
};

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
	((struct fixture *)((char *)relay - offsetof(struct fixture, relay)))->progress++;
}

static void finished(struct relay *relay, bool reset)
{
	struct fixture *fixture =
		(struct fixture *)(void *)((char *)relay - offsetof(struct fixture, relay));

	assert_false(fixture->finished);
	fixture->finished = true;
	fixture->reset = reset;
	relay_close(relay, reset);
	loop_stop(fixture->loop);
}

static struct fixture *fixture_new(const int side[2], int left, int right)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	int i;

	fixture->loop = loop_new();
	assert_non_null(fixture->loop);
	fixture->pool = relay_pool_new(fixture->loop);
	assert_non_null(fixture->pool);
	relay_init(&fixture->relay, fixture->pool);
	fixture->relay.progress = progressed;
	fixture->relay.finish = finished;
	fixture->left = left;
	fixture->right = right;
	for (i = 0; i < 2; i++) {
		assert_int_equal(fcntl(side[i], F_SETFL, O_NONBLOCK), 0);
		fixture->relay.side[i].latched = EPOLLIN | EPOLLOUT;
		assert_int_equal(
			loop_add(fixture->loop, &fixture->relay.side[i], side[i], RELAY_EVENTS), 0);
	}
	return fixture;
}

static struct fixture *fixture_pairs(bool local, int buffer)
{
	int left[2], right[2];

	if (local) {
		unix_pair(left);
		unix_pair(right);
	} else {
		tcp_pair(left, buffer);
		tcp_pair(right, buffer);
	}
	return fixture_new((int[2]) {left[1], right[0]}, left[0], right[1]);
}

static void *fixture_thread(void *context)
{
	struct fixture *fixture = context;
	sigset_t all;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
	relay_start(&fixture->relay);
	if (!fixture->finished)
		(void)loop_run(fixture->loop);
	return NULL;
}

static void fixture_start(struct fixture *fixture)
{
	assert_int_equal(pthread_create(&fixture->thread, NULL, fixture_thread, fixture), 0);
}

/* Waits for the relay's end and frees it. */
static void fixture_end(struct fixture *fixture, bool reset)
{
	assert_int_equal(pthread_join(fixture->thread, NULL), 0);
	assert_true(fixture->finished);
	assert_int_equal(fixture->reset, reset);
	assert_int_equal(fixture->pool->pipes_in_use, 0);
	loop_flush(fixture->loop);
	relay_pool_free(fixture->pool);
	loop_free(fixture->loop);
	if (fixture->left >= 0)
		close(fixture->left);
	if (fixture->right >= 0)
		close(fixture->right);
	free(fixture);
}

static void expect_bytes(int fd, const char *text)
{
	char buffer[64] = {0};

	assert_int_equal(recv(fd, buffer, strlen(text), MSG_WAITALL), strlen(text));
	assert_string_equal(buffer, text);
}

static void expect_end(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static void expect_reset(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

static void half_close(bool local)
{
	struct fixture *fixture = fixture_pairs(local, 0);

	fixture_start(fixture);
	assert_int_equal(send(fixture->left, "ask", 3, 0), 3);
	assert_int_equal(shutdown(fixture->left, SHUT_WR), 0);
	expect_bytes(fixture->right, "ask");
	expect_end(fixture->right);
	/* The other direction still works. */
	assert_int_equal(send(fixture->right, "answer", 6, 0), 6);
	expect_bytes(fixture->left, "answer");
	assert_int_equal(send(fixture->right, "more", 4, 0), 4);
	assert_int_equal(shutdown(fixture->right, SHUT_WR), 0);
	expect_bytes(fixture->left, "more");
	expect_end(fixture->left);
	fixture_end(fixture, false);

	fixture = fixture_pairs(local, 0);
	fixture_start(fixture);
	assert_int_equal(shutdown(fixture->right, SHUT_WR), 0);
	expect_end(fixture->left);
	assert_int_equal(send(fixture->left, "ask", 3, 0), 3);
	expect_bytes(fixture->right, "ask");
	assert_int_equal(shutdown(fixture->left, SHUT_WR), 0);
	expect_end(fixture->right);
	fixture_end(fixture, false);
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

/* An end that is known to follow goes in the last data's packet. */
static void test_end_with_data(void **state)
{
	struct fixture *fixture = fixture_pairs(false, 0);
	uint32_t before = segments_in(fixture->right);

	(void)state;
	assert_int_equal(send(fixture->left, "ask", 3, 0), 3);
	assert_int_equal(shutdown(fixture->left, SHUT_WR), 0);
	fixture->relay.side[0].latched |= EPOLLRDHUP;
	fixture_start(fixture);
	expect_bytes(fixture->right, "ask");
	expect_end(fixture->right);
	assert_int_equal(segments_in(fixture->right) - before, 1);
	assert_int_equal(shutdown(fixture->right, SHUT_WR), 0);
	expect_end(fixture->left);
	fixture_end(fixture, false);
}

static void test_reset_passes(void **state)
{
	int direction;

	(void)state;
	for (direction = 0; direction < 2; direction++) {
		struct fixture *fixture = fixture_pairs(false, 0);
		int *from = direction ? &fixture->right : &fixture->left;
		int to = direction ? fixture->left : fixture->right;

		fixture_start(fixture);
		assert_int_equal(send(*from, "x", 1, 0), 1);
		expect_bytes(to, "x");
		relay_reset_on_close(*from);
		close(*from);
		*from = -1;
		expect_reset(to);
		fixture_end(fixture, true);
	}
}

static void test_reset_behind_half_close(void **state)
{
	struct fixture *fixture = fixture_pairs(false, 0);

	(void)state;
	fixture_start(fixture);
	assert_int_equal(shutdown(fixture->left, SHUT_WR), 0);
	expect_end(fixture->right);
	relay_reset_on_close(fixture->right);
	close(fixture->right);
	fixture->right = -1;
	expect_reset(fixture->left);
	fixture_end(fixture, true);
}

/* Bytes that were read before the relay, and an EOF. */
static void test_queued_first(void **state)
{
	struct fixture *fixture = fixture_pairs(false, 0);
	char *owned = strdup("peeked ");

	(void)state;
	relay_queue_owned(&fixture->relay, 0, owned, strlen(owned));
	assert_int_equal(relay_queue(&fixture->relay, 1, "glued ", 6), 0);
	assert_int_equal(relay_queue(&fixture->relay, 1, "twice ", 6), 0);
	assert_int_equal(send(fixture->left, "left", 4, 0), 4);
	assert_int_equal(send(fixture->right, "right", 5, 0), 5);
	fixture_start(fixture);
	expect_bytes(fixture->right, "peeked left");
	expect_bytes(fixture->left, "glued twice right");
	shutdown(fixture->left, SHUT_WR);
	shutdown(fixture->right, SHUT_WR);
	fixture_end(fixture, false);
}

static void test_queue_limit(void **state)
{
	struct fixture *fixture = fixture_pairs(false, 0);
	char *large = calloc(1, RELAY_BUFFER);

	(void)state;
	assert_int_equal(relay_queue(&fixture->relay, 0, large, RELAY_BUFFER), 0);
	assert_int_equal(relay_queue(&fixture->relay, 0, large, 1), -ENOBUFS);
	assert_int_equal(relay_memory(&fixture->relay), RELAY_BUFFER);
	free(large);
	fixture_start(fixture);
	close(fixture->left);
	close(fixture->right);
	fixture->left = fixture->right = -1;
	pthread_join(fixture->thread, NULL);
	fixture->thread = 0;
	relay_pool_free(fixture->pool);
	loop_free(fixture->loop);
	free(fixture);
}

/* A reader that stops: the relay keeps a bounded amount and stops reading; then all arrives. */
static void stopped_reader(int buffer, void (*look)(const struct fixture *fixture, size_t sent))
{
	struct fixture *fixture = fixture_pairs(false, buffer);
	static char block[65536];
	struct pollfd wait = {.fd = fixture->left, .events = POLLOUT};
	size_t sent = 0, received = 0;

	fixture_start(fixture);
	for (;;) {
		ssize_t size = send(fixture->left, block, sizeof(block), MSG_DONTWAIT);

		if (size > 0)
			sent += (size_t)size;
		/* Nothing moves for a while: everybody's buffers are full. */
		else if (poll(&wait, 1, 300) == 0)
			break;
	}
	look(fixture, sent);
	shutdown(fixture->left, SHUT_WR);
	for (;;) {
		ssize_t size = recv(fixture->right, block, sizeof(block), 0);

		if (size <= 0)
			break;
		received += (size_t)size;
	}
	assert_int_equal(received, sent);
	shutdown(fixture->right, SHUT_WR);
	fixture_end(fixture, false);
}

static void bounded(const struct fixture *fixture, size_t sent)
{
	assert_true(sent < 8 * 1024 * 1024);
	/* Racy to look at, but its value cannot change while nothing is read. */
	assert_true(relay_memory(&fixture->relay) <= RELAY_BUFFER + 512 * 1024);
	assert_true(relay_memory(&fixture->relay) > 0);
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

static void short_queue(const struct fixture *fixture, size_t sent)
{
	(void)sent;
	short_queue_of(fixture->relay.side[0].fd, SO_RCVBUF, "/proc/sys/net/core/rmem_max",
		       256 * 1024);
}

/* And the queue to a receiver that is near is short, too. */
static void short_send_queue(const struct fixture *fixture, size_t sent)
{
	(void)sent;
	short_queue_of(fixture->relay.side[1].fd, SO_SNDBUF, "/proc/sys/net/core/wmem_max",
		       512 * 1024);
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

/* A reset of the side that is not read, since the other does not take more. */
static void test_reset_while_blocked(void **state)
{
	struct fixture *fixture = fixture_pairs(false, 16384);
	static char block[65536];
	struct pollfd wait = {.fd = fixture->left, .events = POLLOUT};

	(void)state;
	fixture_start(fixture);
	while (send(fixture->left, block, sizeof(block), MSG_DONTWAIT) > 0 ||
	       poll(&wait, 1, 200) > 0)
		;
	relay_reset_on_close(fixture->left);
	close(fixture->left);
	fixture->left = -1;
	fixture_end(fixture, true);
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
	struct fixture *fixture = fixture_pairs(local, 0);
	struct sender sender = {.fd = fixture->left, .chunk = chunk};
	pthread_t thread;
	size_t size;
	uint64_t sum;

	fixture->relay.direction[0].no_splice = !splice_allowed;
	fixture_start(fixture);
	assert_int_equal(pthread_create(&thread, NULL, sender_run, &sender), 0);
	sum = receive_all(fixture->right, &size);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(size, BULK);
	assert_true(sum == sender.sum);
	assert_int_equal(send(fixture->right, "done", 4, 0), 4);
	expect_bytes(fixture->left, "done");
	shutdown(fixture->right, SHUT_WR);
	pthread_join(fixture->thread, NULL);
	if (splice_expected)
		assert_true(fixture->pool->spliced > BULK / 2);
	if (!splice_allowed)
		assert_int_equal(fixture->pool->spliced, 0);
	assert_int_equal(fixture->relay.moved[0], BULK);
	assert_int_equal(fixture->relay.moved[1], 4);
	assert_true(fixture->progress > 0);
	assert_true(fixture->finished && !fixture->reset);
	assert_int_equal(fixture->pool->pipes_in_use, 0);
	relay_pool_free(fixture->pool);
	loop_free(fixture->loop);
	close(fixture->left);
	close(fixture->right);
	free(fixture);
}

static void test_bulk(void **state)
{
	(void)state;
	bulk(false, 1048576, true, true);
	bulk(false, 1048576, false, false);
	bulk(false, 8192, false, true);
	bulk(true, 1048576, false, true);
}

/* Bulk, then single small exchanges: nothing may stay in a pipe, which goes back to the pool. */
static void test_bulk_then_small(void **state)
{
	struct fixture *fixture = fixture_pairs(false, 0);
	static char block[1048576];
	int i;

	(void)state;
	fixture_start(fixture);
	for (i = 0; i < 20; i++) {
		size_t sent = 0, received = 0;

		while (received < sizeof(block)) {
			ssize_t size = send(fixture->left, block, sizeof(block) - sent,
					    MSG_DONTWAIT);

			if (size > 0)
				sent += (size_t)size;
			size = recv(fixture->right, block, sizeof(block), MSG_DONTWAIT);
			if (size > 0)
				received += (size_t)size;
		}
		assert_int_equal(send(fixture->left, "small", 5, 0), 5);
		expect_bytes(fixture->right, "small");
		assert_int_equal(send(fixture->right, "back", 4, 0), 4);
		expect_bytes(fixture->left, "back");
	}
	for (i = 0; i < 20; i++) {
		assert_int_equal(send(fixture->left, "small", 5, 0), 5);
		expect_bytes(fixture->right, "small");
	}
	shutdown(fixture->left, SHUT_WR);
	shutdown(fixture->right, SHUT_WR);
	pthread_join(fixture->thread, NULL);
	assert_false(fixture->relay.direction[0].bulk);
	assert_int_equal(fixture->pool->pipes_in_use, 0);
	relay_pool_free(fixture->pool);
	loop_free(fixture->loop);
	close(fixture->left);
	close(fixture->right);
	free(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_end_with_data),
		cmocka_unit_test(test_reset_passes),
		cmocka_unit_test(test_reset_behind_half_close),
		cmocka_unit_test(test_queued_first),
		cmocka_unit_test(test_queue_limit),
		cmocka_unit_test(test_stopped_reader),
		cmocka_unit_test(test_near_sender),
		cmocka_unit_test(test_near_receiver),
		cmocka_unit_test(test_reset_while_blocked),
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_bulk_then_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
