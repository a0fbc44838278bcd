// SPDX-License-Identifier: Apache-2.0
/* The dial, and the acceptor that it reaches. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/util.h"
#include "stream/acceptor.h"
#include "stream/dial.h"
#include "stream/relay.h"
#include "support/descriptors.h"

#define LIMIT_MS   40	/* passes in a test */
#define PATIENT_MS 5000 /* does not, however busy the machine is */

struct fixture {
	struct loop *loop;
	struct dialer dialer;
	struct dial dial;
	struct loop_handler side;
	int result, calls;
	struct sockaddr_un address;

	struct acceptor acceptor;
	struct acceptor_reserve reserve;
	unsigned int accepted, exhausted, resting;
};

static void done(struct dial *dial, int error)
{
	struct fixture *fixture = container_of(dial, struct fixture, dial);

	fixture->result = error;
	fixture->calls++;
	loop_stop(fixture->loop);
}

static struct fixture fixture_new(void)
{
	struct fixture fixture = {.loop = loop_new(), .side.fd = -1, .dial.done = done};

	assert_non_null(fixture.loop);
	fixture.acceptor.listener.fd = -1;
	fixture.reserve.fd = -1;
	/* An abstract address: the kernel removes it. */
	fixture.address.sun_family = AF_UNIX;
	(void)snprintf(fixture.address.sun_path + 1, sizeof(fixture.address.sun_path) - 1,
		       "sidestep-test-dial-%d", getpid());
	return fixture;
}

static void fixture_free(struct fixture *fixture)
{
	dial_cancel(&fixture->dial);
	loop_close(&fixture->side);
	acceptor_close(&fixture->acceptor);
	loop_free(fixture->loop);
	acceptor_reserve_close(&fixture->reserve);
}

static int listen_local(const struct fixture *fixture, int backlog)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(
		bind(fd, (const struct sockaddr *)&fixture->address, sizeof(fixture->address)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static int start(struct fixture *fixture)
{
	static const struct dial_announcer nobody;
	const struct sockaddr *address = (const struct sockaddr *)&fixture->address;
	int fd = dial_socket(&nobody, address);

	assert_true(fd >= 0);
	return dial_start(&fixture->dial, &fixture->dialer, &fixture->side, fd, address,
			  sizeof(fixture->address));
}

static void test_connects(void **state)
{
	struct fixture fixture = fixture_new();
	int listener = listen_local(&fixture, 1);

	(void)state;
	dialer_init(&fixture.dialer, fixture.loop, PATIENT_MS);
	assert_int_equal(start(&fixture), 0);
	assert_int_equal(loop_run(fixture.loop), 0);
	assert_int_equal(fixture.result, 0);
	assert_int_equal(fixture.calls, 1);
	assert_true(fixture.side.fd >= 0);
	close(listener);
	fixture_free(&fixture);
}

static void test_refused_at_once(void **state)
{
	struct fixture fixture = fixture_new();

	(void)state;
	dialer_init(&fixture.dialer, fixture.loop, LIMIT_MS);
	assert_int_equal(start(&fixture), -ECONNREFUSED);
	assert_int_equal(fixture.calls, 0);
	assert_int_equal(fixture.side.fd, -1);
	fixture_free(&fixture);
}

/* Fills the backlog of a new listener. Stores the socket that waits there in *@ret_waiting. */
static int listen_full(const struct fixture *fixture, int *ret_waiting)
{
	int listener = listen_local(fixture, 0);

	*ret_waiting = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(*ret_waiting, (const struct sockaddr *)&fixture->address,
				 sizeof(fixture->address)),
			 0);
	return listener;
}

/* Dials while the backlog is full, takes the waiting socket out of it if @room, and expects
 * @result. */
static void dial_into_full(unsigned int limit_ms, bool room, int result)
{
	struct fixture fixture = fixture_new();
	int waiting, listener = listen_full(&fixture, &waiting);

	dialer_init(&fixture.dialer, fixture.loop, limit_ms);
	assert_int_equal(start(&fixture), 0);
	assert_int_equal(fixture.side.fd, -1);
	if (room)
		close(accept(listener, NULL, NULL));
	assert_int_equal(loop_run(fixture.loop), 0);
	assert_int_equal(fixture.result, result);
	assert_int_equal(fixture.calls, 1);
	close(waiting);
	close(listener);
	fixture_free(&fixture);
}

static void test_full_backlog(void **state)
{
	(void)state;
	dial_into_full(LIMIT_MS, false, -ETIMEDOUT);
}

/* A full backlog is tried again, until there is room. */
static void test_full_backlog_gets_room(void **state)
{
	(void)state;
	dial_into_full(PATIENT_MS, true, 0);
}

static void test_cancelled(void **state)
{
	struct fixture fixture = fixture_new();
	int waiting, listener = listen_full(&fixture, &waiting);

	(void)state;
	dialer_init(&fixture.dialer, fixture.loop, LIMIT_MS);
	assert_int_equal(start(&fixture), 0);
	dial_cancel(&fixture.dial);
	dial_cancel(&fixture.dial);
	assert_int_equal(fixture.calls, 0);
	close(waiting);
	close(listener);
	fixture_free(&fixture);
}

static int refuse(void *context, int fd, const struct sockaddr *destination)
{
	assert_true(fd >= 0);
	assert_int_equal(destination->sa_family, *(int *)context);
	return -EPERM;
}

/* A socket that cannot be announced must not be used. A unix socket sends no packets. */
static void test_announcement(void **state)
{
	int family = AF_INET, fd;
	const struct dial_announcer announcer = {refuse, &family};
	const struct dial_announcer nobody = {NULL, NULL};
	const struct sockaddr ipv4 = {.sa_family = AF_INET}, local = {.sa_family = AF_UNIX};

	(void)state;
	assert_int_equal(dial_socket(&announcer, &ipv4), -EPERM);
	assert_int_equal(dial_announce(&nobody, -1, NULL), 0);
	fd = dial_socket(&announcer, &local);
	assert_true(fd >= 0);
	close(fd);
}

static void accepted(struct acceptor *acceptor, int fd, const struct sockaddr_storage *peer)
{
	struct fixture *fixture = container_of(acceptor, struct fixture, acceptor);

	(void)peer;
	fixture->accepted++;
	close(fd);
	loop_stop(fixture->loop);
}

static void exhausted(struct acceptor *acceptor, int fd, const struct sockaddr_storage *peer)
{
	struct fixture *fixture = container_of(acceptor, struct fixture, acceptor);

	assert_int_equal(fd < 0, !peer);
	if (fd < 0) {
		fixture->resting++;
		return;
	}
	fixture->exhausted++;
	close(fd);
	loop_stop(fixture->loop);
}

static void start_acceptor(struct fixture *fixture)
{
	int listener = listen_local(fixture, 4);

	assert_int_equal(acceptor_reserve_open(&fixture->reserve, fixture->loop), 0);
	fixture->acceptor.accepted = accepted;
	fixture->acceptor.exhausted = exhausted;
	assert_int_equal(acceptor_start(&fixture->acceptor, &fixture->reserve, listener), 0);
}

static int connect_local(const struct fixture *fixture)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&fixture->address,
				 sizeof(fixture->address)),
			 0);
	return fd;
}

/* Without descriptors the reserve serves one connection after the other. */
static void test_exhausted(void **state)
{
	struct fixture fixture = fixture_new();
	int clients[2], i;
	rlim_t limit;

	(void)state;
	start_acceptor(&fixture);
	for (i = 0; i < 2; i++)
		clients[i] = connect_local(&fixture);
	limit = limit_descriptors(clients[1] + 1);
	assert_int_equal(loop_run(fixture.loop), 0);
	(void)limit_descriptors(limit);
	assert_int_equal(fixture.exhausted, 2);
	assert_int_equal(fixture.accepted, 0);
	assert_true(fixture.reserve.fd >= 0);
	for (i = 0; i < 2; i++)
		close(clients[i]);
	fixture_free(&fixture);
}

/* Not even the reserve is there: the listener rests, and accepts again afterwards. */
static void test_listener_rests(void **state)
{
	struct fixture fixture = fixture_new();
	int client;
	rlim_t limit;

	(void)state;
	start_acceptor(&fixture);
	client = connect_local(&fixture);
	/* The reserve's number is free once it is closed, but above this limit. */
	limit = limit_descriptors(0);
	fixture.acceptor.listener.ready(&fixture.acceptor.listener, EPOLLIN);
	(void)limit_descriptors(limit);
	assert_int_equal(fixture.resting, 1);
	assert_int_equal(loop_run(fixture.loop), 0);
	assert_int_equal(fixture.accepted, 1);
	close(client);
	fixture_free(&fixture);
}

/* Somebody else has taken the reserve's descriptor. The next free one is the reserve's again, and
 * connections are reset instead of waiting. */
static void test_reserve_comes_back(void **state)
{
	struct fixture fixture = fixture_new();
	int client;
	rlim_t limit;
	int reserve;

	(void)state;
	start_acceptor(&fixture);
	reserve = fixture.reserve.fd;
	client = connect_local(&fixture);
	limit = limit_descriptors(0);
	fixture.acceptor.listener.ready(&fixture.acceptor.listener, EPOLLIN);
	assert_int_equal(fixture.resting, 1);
	assert_int_equal(fixture.reserve.fd, -1);
	/* One descriptor is free: there is none between the first and the last one of the test. */
	(void)limit_descriptors(reserve + 1);
	assert_int_equal(loop_run(fixture.loop), 0);
	(void)limit_descriptors(limit);
	assert_int_equal(fixture.exhausted, 1);
	assert_int_equal(fixture.accepted, 0);
	assert_true(fixture.reserve.fd >= 0);
	close(client);
	fixture_free(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connects),
		cmocka_unit_test(test_refused_at_once),
		cmocka_unit_test(test_full_backlog),
		cmocka_unit_test(test_full_backlog_gets_room),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_announcement),
		cmocka_unit_test(test_exhausted),
		cmocka_unit_test(test_listener_rests),
		cmocka_unit_test(test_reserve_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
