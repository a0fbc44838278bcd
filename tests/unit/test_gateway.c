// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/gateway.h"

/* A gateway in a thread. The test is its client and the target. */
struct fixture {
	struct gateway_config config;
	struct endpoint listen;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t ready;
	bool is_ready;
	int result;
};

static void listening(void *context, const struct gateway_listening *listening)
{
	struct fixture *fixture = context;

	pthread_mutex_lock(&fixture->lock);
	if (listening->count > 0)
		fixture->listen = listening->addresses[0];
	fixture->is_ready = true;
	pthread_cond_signal(&fixture->ready);
	pthread_mutex_unlock(&fixture->lock);
}

static void *fixture_thread(void *context)
{
	struct fixture *fixture = context;

	fixture->result = gateway_run(&fixture->config);
	return NULL;
}

static struct fixture *fixture_start(const struct gateway_config *config)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->config = *config;
	assert_int_equal(endpoint_parse("127.0.0.1:0", &fixture->listen), 0);
	if (!config->unix_path) {
		fixture->config.listen = &fixture->listen;
		fixture->config.listen_count = 1;
	}
	fixture->config.listening = listening;
	fixture->config.context = fixture;
	fixture->config.stop_fd = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&fixture->lock, NULL);
	pthread_cond_init(&fixture->ready, NULL);
	assert_int_equal(pthread_create(&fixture->thread, NULL, fixture_thread, fixture), 0);
	pthread_mutex_lock(&fixture->lock);
	while (!fixture->is_ready)
		pthread_cond_wait(&fixture->ready, &fixture->lock);
	pthread_mutex_unlock(&fixture->lock);
	return fixture;
}

static void fixture_stop(struct fixture *fixture)
{
	uint64_t one = 1;

	assert_int_equal(write(fixture->config.stop_fd, &one, sizeof(one)), sizeof(one));
	assert_int_equal(pthread_join(fixture->thread, NULL), 0);
	assert_int_equal(fixture->result, 0);
	close(fixture->config.stop_fd);
	free(fixture);
}

static int dial(const struct fixture *fixture)
{
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	int fd;

	if (fixture->config.unix_path) {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		(void)snprintf(local.sun_path, sizeof(local.sun_path), "%s",
			       fixture->config.unix_path);
		assert_int_equal(connect(fd, (struct sockaddr *)&local, sizeof(local)), 0);
		return fd;
	}
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&fixture->listen.address,
				 endpoint_size(&fixture->listen)),
			 0);
	return fd;
}

static void ask(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void ask_connect(int fd, const char *target)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target,
		       target);
	ask(fd, text);
}

/* Reads the head of an answer and no further. Tells whether it declares that plaintext is taken. */
static bool answer_declares(int fd, int status)
{
	char text[512] = {0}, want[32];
	size_t size = 0;

	while (!strstr(text, "\r\n\r\n")) {
		assert_true(size < sizeof(text) - 1);
		assert_int_equal(recv(fd, text + size, 1, 0), 1);
		size++;
	}
	(void)snprintf(want, sizeof(want), "HTTP/1.1 %d ", status);
	assert_int_equal(strncmp(text, want, strlen(want)), 0);
	return strstr(text, "\r\nX-Tls-Plaintext: accept\r\n");
}

static void expect_status(int fd, int status)
{
	(void)answer_declares(fd, status);
}

static void expect_bytes(int fd, const char *text)
{
	char buffer[256] = {0};

	assert_int_equal(recv(fd, buffer, strlen(text), MSG_WAITALL), strlen(text));
	assert_string_equal(buffer, text);
}

static void expect_end(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 0);
	close(fd);
}

static int target_listen(struct endpoint *ret_endpoint, char text[ADDRESS_TEXT_MAX])
{
	socklen_t size = sizeof(ret_endpoint->address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(endpoint_parse("127.0.0.1:0", ret_endpoint), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&ret_endpoint->address,
			      endpoint_size(ret_endpoint)),
			 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ret_endpoint->address, &size), 0);
	endpoint_format((struct sockaddr *)&ret_endpoint->address, text);
	return fd;
}

static void tunnel_through(struct fixture *fixture, int listener, const char *target)
{
	int fd = dial(fixture), accepted;

	ask_connect(fd, target);
	ask(fd, "early");
	accepted = accept(listener, NULL, NULL);
	assert_true(accepted >= 0);
	expect_status(fd, 200);
	expect_bytes(accepted, "early");
	ask(accepted, "answer");
	expect_bytes(fd, "answer");
	shutdown(fd, SHUT_WR);
	assert_int_equal(recv(accepted, &(char) {0}, 1, 0), 0);
	ask(accepted, "late");
	close(accepted);
	expect_bytes(fd, "late");
	expect_end(fd);
}

static void test_tunnel(void **state)
{
	struct fixture *fixture = fixture_start(&(struct gateway_config) {0});
	char target[ADDRESS_TEXT_MAX];
	struct endpoint endpoint;
	int fd, listener = target_listen(&endpoint, target);

	(void)state;
	tunnel_through(fixture, listener, target);
	close(listener);
	fd = dial(fixture);
	ask_connect(fd, target);
	expect_status(fd, 400);
	expect_end(fd);
	fd = dial(fixture);
	ask_connect(fd, "255.255.255.255:1");
	expect_status(fd, 502);
	expect_end(fd);
	fixture_stop(fixture);
}

static void test_maps(void **state)
{
	char target[ADDRESS_TEXT_MAX], other[ADDRESS_TEXT_MAX];
	struct gateway_map map;
	struct endpoint all;
	struct gateway_config config = {.maps = &map, .map_count = 1, .map_all = &all};
	struct fixture *fixture;
	int listener, listener_all;

	(void)state;
	listener = target_listen(&map.to, target);
	listener_all = target_listen(&all, other);
	assert_int_equal(endpoint_parse("192.0.2.1:80", &map.from), 0);
	fixture = fixture_start(&config);
	tunnel_through(fixture, listener, "192.0.2.1:80");
	tunnel_through(fixture, listener_all, "192.0.2.1:81");
	tunnel_through(fixture, listener_all, "[2001:db8::1]:80");
	fixture_stop(fixture);
	close(listener);
	close(listener_all);
}

static void test_unix_path(void **state)
{
	char path[64];
	struct gateway_config config = {.unix_path = path, .server = true};
	struct fixture *fixture;
	int fd;

	(void)state;
	(void)snprintf(path, sizeof(path), "/tmp/test_gateway.%d", (int)getpid());
	fixture = fixture_start(&config);
	fd = dial(fixture);
	ask_connect(fd, "192.0.2.1:7");
	expect_status(fd, 200);
	ask(fd, "echo");
	expect_bytes(fd, "echo");
	shutdown(fd, SHUT_WR);
	expect_end(fd);
	fixture_stop(fixture);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_server(void **state)
{
	struct fixture *fixture = fixture_start(&(struct gateway_config) {.server = true});
	int fd = dial(fixture);

	(void)state;
	ask_connect(fd, "192.0.2.1:80");
	expect_status(fd, 200);
	ask(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	expect_status(fd, 200);
	expect_bytes(fd, "destination 192.0.2.1:80\n");
	ask(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
	expect_status(fd, 200);
	expect_bytes(fd, "destination 192.0.2.1:80\n");
	ask(fd, "GET / HTTP/1.0\r\n\r\n");
	expect_status(fd, 200);
	expect_bytes(fd, "destination 192.0.2.1:80\n");
	expect_end(fd);
	fd = dial(fixture);
	/* These bytes come in one piece with the head. */
	ask(fd, "CONNECT 192.0.2.1:80 HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n");
	expect_status(fd, 200);
	expect_status(fd, 200);
	expect_bytes(fd, "destination 192.0.2.1:80\n");
	close(fd);
	fixture_stop(fixture);
}

/* The server declares that it takes plaintext, a way to the destination only if told to. */
static void test_declaration(void **state)
{
	struct gateway_config configs[] = {
		{.server = true},
		{.server = true, .status = 202},
		{.plaintext = true},
		{.plaintext = false},
	};
	static const int statuses[] = {200, 202, 200, 200};
	static const bool declared[] = {true, false, true, false};
	struct endpoint target;
	char text[ADDRESS_TEXT_MAX];
	int listener = target_listen(&target, text), i;

	(void)state;
	for (i = 0; i < 4; i++) {
		struct fixture *fixture = fixture_start(&configs[i]);
		int fd = dial(fixture);

		ask_connect(fd, text);
		assert_int_equal(answer_declares(fd, statuses[i]), declared[i]);
		close(fd);
		fixture_stop(fixture);
	}
	close(listener);
}

static void test_test_doubles(void **state)
{
	struct fixture *fixture =
		fixture_start(&(struct gateway_config) {.status = 500, .delay_ms = 20});
	int fd = dial(fixture);

	(void)state;
	ask_connect(fd, "192.0.2.1:80");
	expect_status(fd, 500);
	expect_end(fd);
	fixture_stop(fixture);
	fixture = fixture_start(&(struct gateway_config) {.status = 202, .server = true});
	fd = dial(fixture);
	ask_connect(fd, "192.0.2.1:80");
	expect_status(fd, 202);
	close(fd);
	fixture_stop(fixture);
	fixture = fixture_start(&(struct gateway_config) {.garbage = true});
	fd = dial(fixture);
	ask_connect(fd, "192.0.2.1:80");
	expect_bytes(fd, "220 this is not an HTTP server\r\n\r\n");
	expect_end(fd);
	fixture_stop(fixture);
}

static void test_bad_requests(void **state)
{
	static const char *const requests[] = {
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"CONNECT 192.0.2.1:80 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"CONNECT 192.0.2.1:80 HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
		"CONNECT example.com:80 HTTP/1.1\r\nHost: a\r\n\r\n",
		"nonsense",
	};
	struct fixture *fixture = fixture_start(&(struct gateway_config) {.server = true});
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		fd = dial(fixture);
		ask(fd, requests[i]);
		expect_status(fd, 400);
		expect_end(fd);
	}
	fixture_stop(fixture);
}

static void test_log(void **state)
{
	struct gateway_config config = {.server = true, .log = true};
	struct fixture *fixture;
	int fd, pipes[2], saved = dup(STDOUT_FILENO);
	char line[512] = {0};

	(void)state;
	fflush(stdout);
	assert_int_equal(pipe(pipes), 0);
	dup2(pipes[1], STDOUT_FILENO);
	fixture = fixture_start(&config);
	fd = dial(fixture);
	ask(fd, "CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\nUser-Agent: me\r\n"
		"X-Forwarded-For: 10.0.0.2:4000\r\nX-Tls-Sni: a.example\r\n\r\n");
	expect_status(fd, 200);
	close(fd);
	fixture_stop(fixture);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(pipes[1]);
	assert_true(read(pipes[0], line, sizeof(line) - 1) > 0);
	close(pipes[0]);
	assert_string_equal(line, "{\"destination\":\"192.0.2.1:443\",\"source\":\"10.0.0.2:4000\","
				  "\"sni\":\"a.example\",\"hostname\":null,\"user_agent\":\"me\","
				  "\"proto\":null,\"status\":200}\n");
}

static void test_bad_config(void **state)
{
	(void)state;
	assert_int_equal(gateway_run(&(struct gateway_config) {0}), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tunnel),	     cmocka_unit_test(test_maps),
		cmocka_unit_test(test_unix_path),    cmocka_unit_test(test_server),
		cmocka_unit_test(test_declaration),  cmocka_unit_test(test_test_doubles),
		cmocka_unit_test(test_bad_requests), cmocka_unit_test(test_log),
		cmocka_unit_test(test_bad_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
