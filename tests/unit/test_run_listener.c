// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/run_listener.h"
#include "lib/util.h"
#include "support/descriptors.h"
#include "support/own_netns.h"

#define DATA 4711

/* A listener and its owner's set. */
struct bed {
	struct run_listener listener;
	int epoll;
};

/* The socket of another process has another name, that of its namespace. */
static int setup(void **state)
{
	static struct bed bed;

	if (enter_own_netns(state) < 0)
		return -1;
	*state = &bed;
	bed.epoll = epoll_create1(EPOLL_CLOEXEC);
	return run_listener_open(&bed.listener, "test", 4, bed.epoll, DATA);
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	run_listener_close(&bed->listener);
	return close(bed->epoll);
}

static bool reported(const struct bed *bed)
{
	struct epoll_event event;
	int count = epoll_wait(bed->epoll, &event, 1, 0);

	return count == 1 && event.data.u32 == DATA;
}

static int client(const struct bed *bed)
{
	int fd = run_socket_connect(bed->listener.path, SOCK_SEQPACKET);

	assert_true(fd >= 0);
	return fd;
}

/* Takes the descriptors that are free. Returns the limit before. */
static rlim_t take_descriptors(void)
{
	int lowest = dup(STDIN_FILENO);

	assert_true(lowest >= 0);
	(void)close(lowest);
	return limit_descriptors((rlim_t)lowest);
}

static void test_each_client_is_reported_and_taken(void **state)
{
	struct bed *bed = *state;
	int clients[2] = {client(bed), client(bed)}, taken;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(clients); i++) {
		assert_true(reported(bed));
		taken = run_listener_accept(&bed->listener);
		assert_true(taken >= 0);
		(void)close(taken);
	}
	assert_false(reported(bed));
	for (i = 0; i < ARRAY_SIZE(clients); i++)
		(void)close(clients[i]);
}

static void test_without_a_descriptor_clients_are_refused(void **state)
{
	struct bed *bed = *state;
	int clients[2] = {client(bed), client(bed)};
	rlim_t before = take_descriptors();
	char byte;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(clients); i++) {
		assert_true(reported(bed));
		assert_int_equal(run_listener_accept(&bed->listener), -ECONNREFUSED);
		assert_int_equal(recv(clients[i], &byte, 1, MSG_DONTWAIT), 0);
	}
	assert_false(reported(bed));
	(void)limit_descriptors(before);
	for (i = 0; i < ARRAY_SIZE(clients); i++)
		(void)close(clients[i]);
}

static void test_without_the_reserve_the_set_rests_until_the_next_client(void **state)
{
	struct bed *bed = *state;
	int clients[2] = {client(bed), -1}, faster = bed->listener.reserve, taken;
	rlim_t before = take_descriptors();
	size_t i;

	/* Another thread has the descriptor. */
	bed->listener.reserve = -1;
	assert_true(reported(bed));
	assert_int_equal(run_listener_accept(&bed->listener), -EMFILE);
	assert_false(reported(bed));
	(void)limit_descriptors(before);
	(void)close(faster);
	clients[1] = client(bed);
	for (i = 0; i < ARRAY_SIZE(clients); i++) {
		assert_true(reported(bed));
		taken = run_listener_accept(&bed->listener);
		assert_true(taken >= 0);
		(void)close(taken);
		(void)close(clients[i]);
	}
	assert_false(reported(bed));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_client_is_reported_and_taken, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_without_a_descriptor_clients_are_refused,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_without_the_reserve_the_set_rests_until_the_next_client, setup,
			teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
