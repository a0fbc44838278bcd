// SPDX-License-Identifier: Apache-2.0
/* The HTTP server of the metrics, over a unix socket and over lo. */
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/util.h"
#include "metrics/metrics_server.h"

struct bed {
	char folder[32];
	char path[64];
	struct metrics_server *server;
	unsigned int series; /* that a scrape gets */
};

static void collect(void *context, struct metrics_set *set)
{
	const struct bed *bed = context;
	unsigned int i;

	for (i = 0; i < bed->series; i++)
		metrics_add(set, METRICS_PACKETS, (const char *[]) {NULL, NULL, "local"}, i);
}

static struct metrics_server *serve(struct bed *bed, const char *listen, bool application)
{
	struct metrics_server_config config = {.application = application,
					       .collect = collect,
					       .context = bed};
	struct metrics_server *server;

	assert_int_equal(metrics_server_parse(listen, application, 0, &config.address), 0);
	assert_int_equal(metrics_server_new(&config, &server), 0);
	assert_int_equal(metrics_server_start(server), 0);
	return server;
}

static int set_up(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	char listen[80];

	(void)strcpy(bed->folder, "/tmp/metrics-XXXXXX");
	assert_non_null(mkdtemp(bed->folder));
	(void)snprintf(bed->path, sizeof(bed->path), "%s/socket", bed->folder);
	(void)snprintf(listen, sizeof(listen), "unix:%s", bed->path);
	bed->series = 1;
	bed->server = serve(bed, listen, true);
	*state = bed;
	return 0;
}

static int tear_down(void **state)
{
	struct bed *bed = *state;

	metrics_server_free(bed->server);
	/* The socket's file is gone. */
	assert_int_equal(rmdir(bed->folder), 0);
	free(bed);
	return 0;
}

static int dial(const struct bed *bed)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)strcpy(address.sun_path, bed->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Sends a request, and returns all of the answer. The caller frees it. */
static char *ask_fd(int fd, const char *request)
{
	char *answer = calloc(1, 1024 * 1024);
	size_t used = 0;
	ssize_t size;

	assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	while ((size = recv(fd, answer + used, 1024 * 1024 - 1 - used, 0)) > 0)
		used += (size_t)size;
	assert_int_equal(size, 0);
	(void)close(fd);
	return answer;
}

static void test_scrape(void **state)
{
	_cleanup_free_ char *answer = ask_fd(dial(*state), "GET /metrics HTTP/1.1\r\n"
							   "Host: a\r\n\r\n");
	const char *body = strstr(answer, "\r\n\r\n") + 4;
	char length[64];

	assert_int_equal(strncmp(answer, "HTTP/1.1 200 OK\r\n", 17), 0);
	assert_non_null(strstr(answer, "\r\nContent-Type: text/plain; version=0.0.4; "));
	(void)snprintf(length, sizeof(length), "\r\nContent-Length: %zu\r\n", strlen(body));
	assert_non_null(strstr(answer, length));
	assert_non_null(strstr(body, "sidestep_packets_total{verdict=\"local\"} 0\n"));
}

static void test_openmetrics_by_accept(void **state)
{
	_cleanup_free_ char *answer =
		ask_fd(dial(*state), "GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n"
				     "Accept: application/openmetrics-text;version=1.0.0\r\n\r\n");

	assert_non_null(strstr(answer, "\r\nContent-Type: application/openmetrics-text; "));
	assert_non_null(strstr(answer, "# EOF\n"));
}

static void test_refusals(void **state)
{
	static const struct {
		const char *request, *status;
	} cases[] = {
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "404 Not Found"},
		{"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
		 "405 Method Not Allowed"},
		{"GET /metrics HTTP/3.9\r\nHost: a\r\n\r\n", "400 Bad Request"},
		{"\x16\x03\x01\x02", "400 Bad Request"},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *answer = ask_fd(dial(*state), cases[i].request);

		assert_int_equal(strncmp(answer + 9, cases[i].status, strlen(cases[i].status)), 0);
	}
}

static void test_head_has_no_body(void **state)
{
	_cleanup_free_ char *answer = ask_fd(dial(*state), "HEAD /metrics HTTP/1.1\r\n"
							   "Host: a\r\n\r\n");

	assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
	assert_null(strstr(answer, "Content-Length: 0\r\n"));
}

/* The answer does not fit the socket's buffer, and the reader is slow to begin. */
static void test_large_answer(void **state)
{
	static const int small = 4096;
	struct bed *bed = *state;
	_cleanup_free_ char *answer = NULL;
	int fd;

	bed->series = METRICS_SERIES_MAX;
	fd = dial(bed);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	answer = ask_fd(fd, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_non_null(strstr(answer, "sidestep_packets_total{verdict=\"local\"} 1998\n"));
	assert_non_null(strstr(answer, "sidestep_metrics_series_dropped 1\n"));
}

/* Clients that say nothing do not keep others out. */
static void test_silent_clients(void **state)
{
	int fds[40];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = dial(*state);
	test_scrape(state);
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
}

static void test_socket_file(void **state)
{
	const struct bed *bed = *state;
	struct stat status;

	assert_int_equal(stat(bed->path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
}

static int dial_lo(in_port_t port)
{
	const struct sockaddr_in address = {.sin_family = AF_INET,
					    .sin_port = htons(port),
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* The host's own processes may read on loopback, the application's may not. */
static void test_loopback(void **state)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
	struct metrics_server *host = serve(*state, "127.0.0.1:39393", false);
	struct metrics_server *application = serve(*state, "127.0.0.1:39394", true);
	_cleanup_free_ char *allowed = ask_fd(dial_lo(39393), request);
	_cleanup_free_ char *refused = ask_fd(dial_lo(39394), request);

	assert_int_equal(strncmp(allowed + 9, "200 OK", 6), 0);
	assert_int_equal(strncmp(refused + 9, "403 Forbidden", 13), 0);
	metrics_server_free(host);
	metrics_server_free(application);
}

static void test_addresses(void **state)
{
	struct socket_address address;

	(void)state;
	assert_int_equal(metrics_server_parse("[::1]:1", false, 0, &address), 0);
	assert_int_equal(metrics_server_parse("0.0.0.0:1", true, 0, &address), 0);
	assert_int_equal(metrics_server_parse("0.0.0.0:1", false, 1, &address), 0);
	assert_int_equal(metrics_server_parse("unix:/a", false, 0, &address), 0);
	/* Containers reach it. */
	assert_int_equal(metrics_server_parse("0.0.0.0:1", false, 0, &address), -EINVAL);
	assert_int_equal(metrics_server_parse("unix:a", true, 0, &address), -EINVAL);
	assert_int_equal(metrics_server_parse("localhost:1", true, 0, &address), -EINVAL);
}

/* The ports of lo are this process's own. */
static int set_up_lo(void **state)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd;

	(void)state;
	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	return close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_scrape, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_openmetrics_by_accept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_head_has_no_body, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_large_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_silent_clients, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_socket_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_loopback, set_up, tear_down),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, set_up_lo, NULL);
}
