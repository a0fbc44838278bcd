// SPDX-License-Identifier: Apache-2.0
/* The proxy's listeners, its limits (connections, descriptors), and the drain. */
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/log.h"
#include "proxy/proxy.h"
#include "support/descriptors.h"
#include "support/peer.h"
#include "support/proxy_bed.h"

static void test_limit(void **state)
{
	struct proxy_config config = proxy_bed_defaults;
	struct proxy_bed *bed;
	struct proxy_counters counters;
	int client[2], tunnel[2], i;

	(void)state;
	config.max_connections = 2;
	bed = proxy_bed_new(&config);
	for (i = 0; i < 2; i++) {
		client[i] = dial(bed);
		tunnel[i] = tunnel_accept(bed, client[i], "");
		say(tunnel[i], "HTTP/1.1 200 OK\r\n\r\n");
	}
	expect_reset(dial(bed));
	expect_reset(dial(bed));
	proxy_counters(bed->proxy, &counters);
	assert_int_equal(counters.refused_limit, 2);
	assert_int_equal(counters.connections, 2);
	for (i = 0; i < 2; i++)
		exchange(client[i], tunnel[i]);
	proxy_bed_free(bed, 4);
}

static void test_no_descriptors(void **state)
{
	struct proxy_bed *bed = proxy_bed_new(&proxy_bed_defaults);
	rlim_t limit;
	int client = socket(AF_INET, SOCK_STREAM, 0), tunnel;
	struct proxy_counters counters;

	(void)state;
	limit = limit_descriptors(client + 1);
	assert_int_equal(connect(client, (struct sockaddr *)&bed->listener.address,
				 sizeof(struct sockaddr_in)),
			 0);
	expect_reset(client);
	(void)limit_descriptors(limit);
	client = dial(bed);
	tunnel = tunnel_accept(bed, client, "");
	proxy_counters(bed->proxy, &counters);
	assert_int_equal(counters.refused_limit, 1);
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\n");
	exchange(client, tunnel);
	proxy_bed_free(bed, 2);
}

static int count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	assert_int_equal(closedir(directory), 0);
	return count;
}

static void *send_bulk(void *context)
{
	static char block[1 << 20];
	int i;

	for (i = 0; i < 16; i++)
		put(*(int *)context, block, sizeof(block));
	return NULL;
}

/* Bulk leaves idle pipes behind, until a connection finds no descriptor. */
static void test_idle_pipes_give_way(void **state)
{
	struct proxy_config config = proxy_bed_defaults;
	static char block[1 << 16];
	struct proxy_bed *bed;
	int client, tunnel, idle;
	struct proxy_counters counters;
	rlim_t limit;
	pthread_t sender;
	size_t left = 16 << 20;

	(void)state;
	config.threads = 1;
	bed = proxy_bed_new(&config);
	client = dial(bed);
	tunnel = tunnel_accept(bed, client, "");
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\n");
	assert_int_equal(pthread_create(&sender, NULL, send_bulk, &tunnel), 0);
	while (left > 0) {
		ssize_t size = recv(client, block, sizeof(block), 0);

		assert_true(size > 0);
		left -= (size_t)size;
	}
	assert_int_equal(pthread_join(sender, NULL), 0);
	exchange(client, tunnel);
	do
		proxy_counters(bed->proxy, &counters);
	while (counters.connections > 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	idle = count_descriptors();
	limit = limit_descriptors(client + 1);
	assert_int_equal(connect(client, (struct sockaddr *)&bed->listener.address,
				 sizeof(struct sockaddr_in)),
			 0);
	expect_reset(client);
	(void)limit_descriptors(limit);
	/* The client's and a pipe's have gone. */
	assert_true(count_descriptors() <= idle - 1 - 2);
	proxy_bed_free(bed, 2);
}

/* The one that is missing comes with the first connection that closes first. */
static void test_descriptors_of_a_thread(void **state)
{
	struct proxy_config config = proxy_bed_defaults;
	int i, count[2];

	(void)state;
	config.dns = config.ipv6 = true;
	for (i = 0; i < 2; i++) {
		struct proxy *proxy;
		int before = count_descriptors();

		config.threads = i ? 3 : 1;
		assert_int_equal(proxy_new(&config, &proxy), 0);
		assert_int_equal(proxy_open_resolvers(proxy), 0);
		count[i] = count_descriptors() - before;
		proxy_free(proxy);
	}
	assert_int_equal(count[1] - count[0], 2 * (PROXY_THREAD_DESCRIPTORS - 1));
}

static void *stop_thread(void *context)
{
	proxy_stop(((struct proxy_bed *)context)->proxy, 60000);
	return NULL;
}

static void test_drain(void **state)
{
	struct proxy_bed *bed = proxy_bed_new(&proxy_bed_defaults);
	int client = dial(bed), tunnel = tunnel_accept(bed, client, ""), late;
	pthread_t thread;

	(void)state;
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\nhello");
	expect_bytes(client, "hello");
	assert_int_equal(pthread_create(&thread, NULL, stop_thread, bed), 0);
	/* New connections are accepted until the drain has begun. */
	do {
		struct pollfd wait = {.events = POLLIN};

		late = dial(bed);
		wait.fd = late;
		(void)poll(&wait, 1, 200);
		if (recv(late, &(char) {0}, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET)
			break;
		close(late);
	} while (true);
	close(late);
	exchange(client, tunnel);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(proxy_listener(bed->proxy, AF_INET, SOCK_STREAM, false), -ENOENT);
	proxy_free(bed->proxy);
	close(bed->gateway);
	free(bed);
}

static void test_drain_ends(void **state)
{
	struct proxy_bed *bed = proxy_bed_new(&proxy_bed_defaults);
	int client = dial(bed), tunnel = tunnel_accept(bed, client, "");

	(void)state;
	say(tunnel, "HTTP/1.1 200 OK\r\n\r\nhello");
	expect_bytes(client, "hello");
	proxy_stop(bed->proxy, 30);
	expect_reset(client);
	expect_reset(tunnel);
	proxy_bed_free(bed, 1);
}

static void test_listeners(void **state)
{
	struct proxy_config config = proxy_bed_defaults;
	char device[IFNAMSIZ];
	socklen_t size = sizeof(device);
	struct proxy *proxy;

	(void)state;
	config.threads = 0;
	assert_int_equal(proxy_new(&config, &proxy), -EINVAL);
	config.threads = 3;
	config.dns = true;
	config.ipv6 = true;
	assert_int_equal(proxy_new(&config, &proxy), 0);
	assert_true(proxy_listener(proxy, AF_INET, SOCK_STREAM, false) >= 0);
	assert_true(proxy_listener(proxy, AF_INET6, SOCK_STREAM, false) >= 0);
	assert_true(proxy_listener(proxy, AF_INET, SOCK_DGRAM, false) >= 0);
	assert_true(proxy_listener(proxy, AF_INET6, SOCK_DGRAM, false) >= 0);
	assert_int_equal(getsockopt(proxy_listener(proxy, AF_INET, SOCK_STREAM, true), SOL_SOCKET,
				    SO_BINDTODEVICE, device, &size),
			 0);
	assert_string_equal(device, "lo");
	size = sizeof(device);
	assert_int_equal(getsockopt(proxy_listener(proxy, AF_INET, SOCK_STREAM, false), SOL_SOCKET,
				    SO_BINDTODEVICE, device, &size),
			 0);
	assert_int_equal(size, 0);
	proxy_free(proxy);
	config.dns = config.ipv6 = false;
	assert_int_equal(proxy_new(&config, &proxy), 0);
	assert_int_equal(proxy_listener(proxy, AF_INET6, SOCK_STREAM, false), -ENOENT);
	assert_int_equal(proxy_listener(proxy, AF_INET, SOCK_DGRAM, false), -ENOENT);
	assert_int_equal(proxy_start(proxy), 0);
	proxy_free(proxy);
	proxy_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_idle_pipes_give_way),
		cmocka_unit_test(test_descriptors_of_a_thread),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_drain_ends),
	};

	if (geteuid() != 0) {
		(void)puts("1..0 # SKIP transparent sockets need CAP_NET_ADMIN");
		return 0;
	}
	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
