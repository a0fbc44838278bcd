// SPDX-License-Identifier: Apache-2.0
/* Tests docker_api byte by byte. The test plays the engine. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "docker/docker_api.h"
#include "lib/util.h"

struct bed {
	struct docker_engine engine;
	int listener;
	int peer; /* the engine's end of the request's connection */
	struct docker_api *api;
	struct docker_request request;
	char asked[512];
	char lines[256];
	char reason[DOCKER_REASON_MAX];
};

static int setup(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct bed *bed = calloc(1, sizeof(*bed));

	if (!bed)
		return -1;
	(void)snprintf(bed->engine.socket_path, sizeof(bed->engine.socket_path),
		       "/tmp/docker-api-%d.sock", (int)getpid());
	(void)unlink(bed->engine.socket_path);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", bed->engine.socket_path);
	bed->peer = -1;
	bed->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(bed->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(bed->listener, 1) < 0 || docker_api_new(&bed->api) < 0)
		return -1;
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	docker_request_remove(&bed->request);
	docker_api_free(bed->api);
	(void)safe_close(bed->peer);
	(void)safe_close(bed->listener);
	(void)unlink(bed->engine.socket_path);
	free(bed);
	return 0;
}

static int note_line(const char *line, size_t size, void *context)
{
	struct bed *bed = context;
	size_t used = strlen(bed->lines);

	if (size == 3 && memcmp(line, "bad", 3) == 0)
		return -EBADMSG;
	(void)snprintf(bed->lines + used, sizeof(bed->lines) - used, "%.*s|", (int)size, line);
	return 0;
}

/* Starts GET @path, accepts the connection and reads the request. */
static void start(struct bed *bed, const char *path, const char *query)
{
	ssize_t size;

	assert_int_equal(docker_request_start(&bed->request, bed->api, &bed->engine, path, query),
			 0);
	bed->peer = accept4(bed->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(bed->peer >= 0);
	assert_int_equal(docker_api_wait(bed->api, 1000), 0);
	size = recv(bed->peer, bed->asked, sizeof(bed->asked) - 1, 0);
	assert_true(size > 0);
}

static void start_stream(struct bed *bed)
{
	bed->request.on_line = note_line;
	bed->request.context = bed;
	start(bed, "/events", NULL);
}

/* Sends @text to the request, one byte at a time. */
static void say(struct bed *bed, const char *text)
{
	for (; *text && bed->request.state == DOCKER_REQUEST_RUNNING; text++) {
		assert_int_equal(send(bed->peer, text, 1, MSG_NOSIGNAL), 1);
		assert_int_equal(docker_api_wait(bed->api, 1000), 0);
	}
}

static void hang_up(struct bed *bed)
{
	bed->peer = safe_close(bed->peer);
	assert_int_equal(docker_api_wait(bed->api, 1000), 0);
}

static void assert_done(struct bed *bed, int result, const char *reason)
{
	assert_ptr_equal(docker_api_next_done(bed->api), &bed->request);
	assert_null(docker_api_next_done(bed->api));
	assert_int_equal(docker_request_result(&bed->request, bed->reason), result);
	assert_string_equal(bed->reason, reason);
}

static void assert_body(struct bed *bed, const char *body)
{
	assert_int_equal(bed->request.body.used, strlen(body));
	assert_memory_equal(bed->request.body.data, body, strlen(body));
}

static void test_request(void **state)
{
	struct bed *bed = *state;

	start(bed, "/events", "since=1");
	assert_string_equal(bed->asked, "GET /events?since=1 HTTP/1.1\r\nHost: docker\r\n"
					"User-Agent: sidestep/" SIDESTEP_VERSION "\r\n"
					"Accept: application/json\r\nConnection: close\r\n\r\n");
}

static void test_length(void **state)
{
	struct bed *bed = *state;

	start(bed, "/networks", NULL);
	say(bed, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]");
	assert_done(bed, 0, "");
	assert_body(bed, "[]");
}

static void test_chunks(void **state)
{
	struct bed *bed = *state;

	start(bed, "/networks", NULL);
	say(bed, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n2\r\n1]\r\n0\r\n");
	assert_null(docker_api_next_done(bed->api));
	say(bed, "\r\n");
	assert_done(bed, 0, "");
	assert_body(bed, "[1]");
}

static void test_until_end(void **state)
{
	struct bed *bed = *state;

	start(bed, "/networks", NULL);
	say(bed, "HTTP/1.0 200 OK\r\n\r\n[2]");
	assert_null(docker_api_next_done(bed->api));
	hang_up(bed);
	assert_done(bed, 0, "");
	assert_body(bed, "[2]");
}

static void test_broken_off(void **state)
{
	struct bed *bed = *state;

	start(bed, "/networks", NULL);
	say(bed, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[]");
	hang_up(bed);
	assert_done(bed, -ECONNRESET, "GET /networks: the engine broke off");
}

static void test_no_answer(void **state)
{
	struct bed *bed = *state;

	start(bed, "/networks", NULL);
	hang_up(bed);
	assert_done(bed, -ECONNRESET, "GET /networks: the engine broke off");
}

static void test_status(void **state)
{
	struct bed *bed = *state;

	start(bed, "/networks", NULL);
	say(bed, "HTTP/1.1 404 Not Found\r\nContent-Length: 14\r\n\r\n{\"message\":\"\"}");
	assert_done(bed, -ENOENT, "GET /networks: status 404");
}

static void test_other_status(void **state)
{
	struct bed *bed = *state;

	start(bed, "/networks", NULL);
	say(bed,
	    "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 14\r\n\r\n{\"message\":\"\"}");
	assert_done(bed, -EPROTO, "GET /networks: status 500");
}

static void test_not_http(void **state)
{
	struct bed *bed = *state;

	start(bed, "/networks", NULL);
	say(bed, "220 hello\r\n");
	assert_ptr_equal(docker_api_next_done(bed->api), &bed->request);
	assert_int_equal(docker_request_result(&bed->request, bed->reason), -EPROTO);
	assert_memory_equal(bed->reason, "GET /networks: not an HTTP answer: ", 35);
}

static void test_endless_head(void **state)
{
	struct bed *bed = *state;
	char block[4096];
	int i;

	memset(block, 'a', sizeof(block));
	start(bed, "/networks", NULL);
	say(bed, "HTTP/1.1 200 OK\r\nX: ");
	for (i = 0; i < 100 && bed->request.state == DOCKER_REQUEST_RUNNING; i++) {
		assert_int_equal(send(bed->peer, block, sizeof(block), MSG_NOSIGNAL),
				 sizeof(block));
		assert_int_equal(docker_api_wait(bed->api, 1000), 0);
	}
	assert_int_equal(i, DOCKER_HEAD_MAX / (int)sizeof(block));
	assert_done(bed, -EMSGSIZE, "GET /networks: the answer's head is longer than 65536 bytes");
}

static void test_stream(void **state)
{
	struct bed *bed = *state;

	start_stream(bed);
	assert_false(bed->request.open);
	say(bed, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	assert_true(bed->request.open);
	say(bed, "4\r\none\n\r\n2\r\ntw\r\n2\r\no\n\r\n");
	assert_string_equal(bed->lines, "one|two|");
	assert_null(docker_api_next_done(bed->api));
	say(bed, "0\r\n\r\n");
	assert_done(bed, -ECONNRESET, "GET /events: the engine ended the stream");
}

static void test_stream_error(void **state)
{
	struct bed *bed = *state;

	start_stream(bed);
	(void)snprintf(bed->reason, sizeof(bed->reason), "the line handler's");
	say(bed, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbad\n\r\n");
	assert_done(bed, -EBADMSG, "the line handler's");
}

/* The body of a refused stream is an error, not events. */
static void test_stream_refused(void **state)
{
	struct bed *bed = *state;

	start_stream(bed);
	say(bed, "HTTP/1.1 400 Bad\r\nContent-Length: 19\r\n\r\n{\"message\":\"since\"}\n");
	assert_string_equal(bed->lines, "");
	assert_done(bed, -EPROTO, "GET /events: status 400: since");
}

static void test_limits(void **state)
{
	static const struct docker_engine nowhere = {.socket_path = "/nonexistent"};
	struct docker_request requests[DOCKER_REQUESTS_MAX + 1] = {0};
	struct bed *bed = *state;
	size_t i;

	for (i = 0; i < DOCKER_REQUESTS_MAX; i++)
		assert_int_equal(docker_request_start(&requests[i], bed->api, &nowhere, "/", NULL),
				 0);
	assert_int_equal(docker_request_start(&requests[i], bed->api, &nowhere, "/", NULL), -EBUSY);
	docker_request_remove(&requests[i]);
	for (i = 0; i < DOCKER_REQUESTS_MAX; i++) {
		assert_int_equal(docker_api_wait(bed->api, 1000), 0);
		assert_ptr_equal(docker_api_next_done(bed->api), &requests[i]);
		assert_int_equal(docker_request_result(&requests[i], bed->reason), -ENOENT);
		docker_request_remove(&requests[i]);
	}
	assert_non_null(strstr(bed->reason, "cannot connect to /nonexistent: No such file"));
}

static void test_wake(void **state)
{
	struct bed *bed = *state;

	docker_api_wake(bed->api);
	docker_api_wake(bed->api);
	assert_int_equal(docker_api_wait(bed->api, 60000), 0);
	assert_int_equal(docker_api_wait(bed->api, 0), 0);
}

static void test_url_encode(void **state)
{
	char *encoded = docker_url_encode("{\"a-Z_0.~\":[\xc3\xa9 /]}");

	(void)state;
	assert_string_equal(encoded, "%7B%22a-Z_0.~%22%3A%5B%C3%A9%20%2F%5D%7D");
	free(encoded);
	encoded = docker_url_encode("");
	assert_string_equal(encoded, "");
	free(encoded);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_request),	   TEST(test_length),
		TEST(test_chunks),	   TEST(test_until_end),
		TEST(test_broken_off),	   TEST(test_no_answer),
		TEST(test_status),	   TEST(test_not_http),
		TEST(test_endless_head),   TEST(test_other_status),
		TEST(test_stream),	   TEST(test_stream_error),
		TEST(test_stream_refused), TEST(test_limits),
		TEST(test_wake),	   cmocka_unit_test(test_url_encode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
