// SPDX-License-Identifier: Apache-2.0
/* Tests agent_broker. The test plays the engine and the watcher, and the loop has a thread. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "agent/agent_asks.h"
#include "agent/agent_broker.h"
#include "agent/agent_news.h"
#include "datapath/rendezvous.h"
#include "lib/util.h"

#define BIG (1U << 20) /* more than a pipe takes */

struct bed {
	struct docker_engine engine;
	int listener;
	struct loop *loop;
	pthread_t thread;
	struct agent_broker broker;
	char removable[65];
	int watcher;	    /* its end of the asks */
	char violation[64]; /* read after the thread's end */
	unsigned int violations;
};

static void woken(void *context)
{
	loop_stop(context);
}

static void *run(void *context)
{
	struct bed *bed = context;

	(void)loop_run(bed->loop);
	return NULL;
}

static void violated(void *context, const char *what)
{
	struct bed *bed = context;

	bed->violations++;
	(void)snprintf(bed->violation, sizeof(bed->violation), "%s", what ? what : "closed");
	agent_broker_close(&bed->broker);
}

static int setup(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct bed *bed = calloc(1, sizeof(*bed));
	int pair[2];

	(void)signal(SIGPIPE, SIG_IGN);
	if (!bed)
		return -1;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/agent-broker-%d.sock",
		       (int)getpid());
	(void)unlink(address.sun_path);
	bed->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bed->loop = loop_new();
	if (!bed->loop || bind(bed->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(bed->listener, 64) < 0 ||
	    docker_engine_init(&bed->engine, address.sun_path) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	loop_on_wake(bed->loop, woken, bed->loop);
	agent_broker_init(&bed->broker, bed->loop, &bed->engine, bed->removable, violated, bed);
	bed->watcher = pair[1];
	if (agent_broker_open(&bed->broker, pair[0]) < 0 ||
	    pthread_create(&bed->thread, NULL, run, bed) != 0)
		return -1;
	*state = bed;
	return 0;
}

/* Ends the loop's thread. */
static void stop(struct bed *bed)
{
	if (!bed->thread)
		return;
	loop_wake(bed->loop);
	(void)pthread_join(bed->thread, NULL);
	bed->thread = 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	stop(bed);
	agent_broker_close(&bed->broker);
	loop_flush(bed->loop);
	loop_free(bed->loop);
	(void)safe_close(bed->watcher);
	(void)safe_close(bed->listener);
	(void)unlink(bed->engine.socket_path);
	free(bed);
	return 0;
}

static void send_ask(struct bed *bed, const char *method, const char *path, const char *query,
		     int fd)
{
	struct docker_ask ask = {.method = ""};

	(void)snprintf(ask.method, sizeof(ask.method), "%s", method);
	(void)snprintf(ask.path, sizeof(ask.path), "%s", path);
	(void)snprintf(ask.query, sizeof(ask.query), "%s", query);
	assert_int_equal(rendezvous_send(bed->watcher, &ask, sizeof(ask), fd, 0), 0);
}

/* Returns the answer's descriptor or its error. */
static int answered(struct bed *bed)
{
	struct agent_answer answer;
	int fd, size = rendezvous_receive(bed->watcher, &answer, sizeof(answer), &fd, 0);

	assert_int_equal(size, sizeof(answer));
	assert_true(answer.error < 0 ? fd < 0 : fd >= 0);
	return answer.error < 0 ? answer.error : fd;
}

/* Accepts the request's connection and holds its first line against @line. */
static int accepted(struct bed *bed, const char *line)
{
	int peer = accept4(bed->listener, NULL, NULL, SOCK_CLOEXEC);
	char text[1024] = "";

	assert_true(peer >= 0);
	assert_true(recv(peer, text, sizeof(text) - 1, 0) > 0);
	assert_memory_equal(text, line, strlen(line));
	assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
	return peer;
}

/* Reads until the end, or @size bytes. Returns how much came. */
static size_t drain(int fd, char *data, size_t size)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	size_t used = 0;
	ssize_t got = 1;

	while (used < size && got > 0) {
		assert_int_equal(poll(&polled, 1, 5000), 1);
		got = read(fd, data + used, size - used);
		assert_true(got >= 0);
		used += (size_t)got;
	}
	return used;
}

static void assert_violation(struct bed *bed, const char *what)
{
	char byte;

	/* The callback closes the broker's end. */
	assert_true(recv(bed->watcher, &byte, 1, 0) <= 0);
	stop(bed);
	assert_string_equal(bed->violation, what);
	assert_int_equal(bed->violations, 1);
	assert_int_equal(bed->broker.relay_count, 0);
}

struct sender {
	int fd;
	char *data;
};

static void *send_big(void *context)
{
	struct sender *sender = context;
	size_t used = 0;
	ssize_t sent;

	while (used < BIG) {
		sent = send(sender->fd, sender->data + used, BIG - used, MSG_NOSIGNAL);
		if (sent <= 0)
			break;
		used += (size_t)sent;
	}
	(void)safe_close(sender->fd);
	return NULL;
}

/* The engine closes while most of the answer is still on its way. */
static void test_answer_passes_whole(void **state)
{
	struct bed *bed = *state;
	_cleanup_free_ char *data = malloc(BIG), *got = calloc(1, BIG + 1);
	struct sender sender = {.data = data};
	_cleanup_close_ int fd = -1;
	pthread_t thread;
	size_t i;

	assert_non_null(data);
	assert_non_null(got);
	for (i = 0; i < BIG; i++)
		data[i] = (char)(i * 7 + i / 256);
	send_ask(bed, "GET", "/containers/json", "", -1);
	fd = answered(bed);
	assert_true(fd >= 0);
	sender.fd = accepted(bed, "GET /containers/json HTTP/1.1\r\n");
	assert_int_equal(pthread_create(&thread, NULL, send_big, &sender), 0);
	assert_int_equal(drain(fd, got, BIG + 1), BIG);
	assert_memory_equal(got, data, BIG);
	(void)pthread_join(thread, NULL);
}

/* The watcher's end is a pipe for reading. */
static void test_nothing_can_be_written(void **state)
{
	struct bed *bed = *state;
	_cleanup_close_ int fd = -1, peer = -1;

	send_ask(bed, "GET", "/containers/abc/json", "", -1);
	fd = answered(bed);
	peer = accepted(bed, "GET /containers/abc/json HTTP/1.1\r\n");
	assert_int_equal(write(fd, "POST", 4), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(send(fd, "POST", 4, 0), -1);
	assert_int_equal(errno, ENOTSOCK);
}

static void test_reader_closes(void **state)
{
	struct bed *bed = *state;
	_cleanup_close_ int peer = -1;
	char byte;
	int fd;

	send_ask(bed, "GET", "/containers/json", "", -1);
	fd = answered(bed);
	peer = accepted(bed, "GET /containers/json");
	assert_int_equal(send(peer, "x", 1, 0), 1);
	assert_int_equal(drain(fd, &byte, 1), 1);
	(void)safe_close(fd);
	/* The engine's connection is closed without another byte from the engine. */
	assert_int_equal(recv(peer, &byte, 1, 0), 0);
}

static void test_no_engine(void **state)
{
	struct bed *bed = *state;

	(void)unlink(bed->engine.socket_path);
	send_ask(bed, "GET", "/containers/json", "", -1);
	assert_int_equal(answered(bed), -ENOENT);
}

static void test_removal(void **state)
{
	struct bed *bed = *state;
	_cleanup_close_ int fd = -1, peer = -1;

	(void)snprintf(bed->removable, sizeof(bed->removable), "abc");
	send_ask(bed, "DELETE", "/containers/abc", "force=1", -1);
	fd = answered(bed);
	peer = accepted(bed, "DELETE /containers/abc?force=1 HTTP/1.1\r\n");
	send_ask(bed, "DELETE", "/containers/abd", "force=1", -1);
	assert_violation(bed, "asked for what it may not have");
}

static void test_forbidden(void **state)
{
	struct bed *bed = *state;

	send_ask(bed, "POST", "/containers/create", "", -1);
	assert_violation(bed, "asked for what it may not have");
}

static void test_wrong_size(void **state)
{
	struct bed *bed = *state;
	struct docker_ask ask[2] = {{.method = "GET", .path = "/containers/json"}};

	assert_int_equal(send(bed->watcher, ask, sizeof(ask[0]) + 1, 0), sizeof(ask[0]) + 1);
	assert_violation(bed, "asked for what it may not have");
}

static void test_closed(void **state)
{
	struct bed *bed = *state;

	(void)shutdown(bed->watcher, SHUT_WR);
	assert_violation(bed, "closed");
}

static void test_too_many(void **state)
{
	struct bed *bed = *state;
	int fds[AGENT_BROKER_RELAYS_MAX];
	size_t i;

	for (i = 0; i < AGENT_BROKER_RELAYS_MAX; i++) {
		send_ask(bed, "GET", "/containers/json", "", -1);
		fds[i] = answered(bed);
		assert_true(fds[i] >= 0);
	}
	send_ask(bed, "GET", "/containers/json", "", -1);
	assert_violation(bed, "asked too often");
	for (i = 0; i < AGENT_BROKER_RELAYS_MAX; i++)
		(void)safe_close(fds[i]);
}

/* A descriptor that comes with a request is closed. */
static void test_descriptor(void **state)
{
	struct bed *bed = *state;
	_cleanup_close_ int fd = -1, own = -1;
	int pair[2];
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	own = pair[0];
	send_ask(bed, "GET", "/containers/json", "", pair[1]);
	(void)safe_close(pair[1]);
	fd = answered(bed);
	assert_true(fd >= 0);
	assert_int_equal(recv(own, &byte, 1, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answer_passes_whole),
		TEST(test_nothing_can_be_written),
		TEST(test_reader_closes),
		TEST(test_no_engine),
		TEST(test_removal),
		TEST(test_forbidden),
		TEST(test_wrong_size),
		TEST(test_closed),
		TEST(test_too_many),
		TEST(test_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
