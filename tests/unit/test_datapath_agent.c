// SPDX-License-Identifier: Apache-2.0
/* Checks a sidecar's requests to the agent, for which replies it waits, and what it does about an
 * agent that hangs. Replies are there before it asks, so nobody is needed at the other end. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "datapath/agent_wire.h"
#include "datapath/datapath_agent.h"
#include "datapath/rendezvous.h"
#include "lib/clock.h"
#include "lib/util.h"

/* Patience with the agent, ms. */
#define LIMIT_MS 100

static struct datapath *datapath;
static int agent;
static int heard; /* the agent's end */

static int begin(void **state)
{
	struct agent_request offer;
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	agent = pair[0];
	if (datapath_agent_new(pair[1], SIDESTEP_UDP_PASS, LIMIT_MS, &datapath) < 0)
		return -1;
	/* It begins with the offer of its events. */
	if (rendezvous_receive(agent, &offer, sizeof(offer), &heard, MSG_DONTWAIT) !=
		    sizeof(offer) ||
	    offer.type != AGENT_EVENTS || heard < 0)
		return -1;
	return 0;
}

static int end(void **state)
{
	(void)state;
	datapath_agent_forget(datapath);
	return close(heard) | close(agent);
}

/* For tests that free the datapath. */
static int end_left(void **state)
{
	(void)state;
	return close(heard) | close(agent);
}

static void will_reply(uint32_t sequence, int error)
{
	const struct agent_reply reply = {.sequence = sequence, .error = error};

	assert_int_equal(rendezvous_send(agent, &reply, sizeof(reply), -1, 0), 0);
}

/* Reads the next request, and tells whether a socket came with it. */
static void assert_said(enum agent_request_type type, uint32_t sequence, bool socket)
{
	struct agent_request request;
	_cleanup_close_ int fd = -1;

	assert_int_equal(rendezvous_receive(agent, &request, sizeof(request), &fd, MSG_DONTWAIT),
			 sizeof(request));
	assert_int_equal(request.type, type);
	assert_int_equal(request.sequence, sequence);
	assert_int_equal(fd >= 0, socket);
}

static void test_before_attaching_nothing_waits(void **state)
{
	(void)state;
	assert_int_equal(datapath_set_listener(datapath, SIDESTEP_LISTENER_TCP4, agent), 0);
	assert_int_equal(datapath_set_gateway(datapath, "unix:/gateway"), 0);
	assert_int_equal(datapath_own_socket(datapath, agent, NULL), 0);
	assert_said(AGENT_LISTENER, 0, true);
	assert_said(AGENT_NAMESPACE, 0, false);
	assert_said(AGENT_OWN_SOCKET, 0, true);
	/* The first reply has the error. */
	will_reply(1, -EBADF);
	assert_int_equal(datapath_attach(datapath), -EBADF);
	assert_said(AGENT_ATTACH, 1, false);
	/* Nothing is attached, so this does not wait either. */
	assert_int_equal(datapath_own_socket(datapath, agent, NULL), 0);
	assert_said(AGENT_OWN_SOCKET, 0, true);
}

static void test_when_attached_it_has_happened_on_return(void **state)
{
	(void)state;
	will_reply(1, 0);
	assert_int_equal(datapath_attach(datapath), 0);
	assert_said(AGENT_ATTACH, 1, false);
	will_reply(2, 0);
	assert_int_equal(datapath_own_socket(datapath, agent, NULL), 0);
	assert_said(AGENT_OWN_SOCKET, 2, true);
	will_reply(3, -EINVAL);
	assert_int_equal(datapath_set_listener(datapath, SIDESTEP_LISTENER_TCP6, agent), -EINVAL);
	assert_said(AGENT_LISTENER, 3, true);
}

/* An agent that takes no events costs no more than these. */
static void test_events_never_wait(void **state)
{
	char message[4096] = "events", got[sizeof(message)];
	int sent = 0, error;

	(void)state;
	assert_int_equal(datapath_report(datapath, message, sizeof(message)), 0);
	assert_int_equal(recv(heard, got, sizeof(got), MSG_DONTWAIT), sizeof(got));
	assert_string_equal(got, "events");
	while ((error = datapath_report(datapath, message, sizeof(message))) == 0)
		sent++;
	assert_int_equal(error, -EAGAIN);
	assert_true(sent > 0);
	/* Requests have a queue of their own. */
	assert_int_equal(datapath_own_socket(datapath, agent, NULL), 0);
	assert_said(AGENT_OWN_SOCKET, 0, true);
}

static const struct sidestep_bypass from_option = {.sources = SIDESTEP_FROM_OPTION};
static const struct prefix prefix = {.length = 128};

/* The agent hangs, and nothing waits for it from now on. */
static void assert_hung(short events)
{
	const struct sockaddr destination = {.sa_family = AF_INET};
	uint64_t begin_ms = clock_ms();
	int i;

	assert_true(datapath_agent_hangs(datapath));
	assert_int_equal(datapath_agent_events(datapath), events);
	for (i = 0; i < 100; i++)
		assert_int_equal(datapath_bypass_set(datapath, &prefix, &from_option), -ETIMEDOUT);
	assert_int_equal(datapath_own_socket(datapath, agent, NULL), -ETIMEDOUT);
	/* A connection goes on unmarked, as without an agent. */
	assert_int_equal(datapath_own_socket(datapath, agent, &destination), 0);
	assert_int_equal(datapath_commit(datapath), -ETIMEDOUT);
	assert_true(clock_ms() - begin_ms < LIMIT_MS);
	assert_false(datapath_agent_resume(datapath));
}

static void assert_answers(void)
{
	assert_true(datapath_agent_resume(datapath));
	assert_false(datapath_agent_hangs(datapath));
	assert_int_equal(datapath_agent_events(datapath), 0);
}

static void test_a_reply_that_does_not_come(void **state)
{
	(void)state;
	assert_int_equal(datapath_bypass_set(datapath, &prefix, &from_option), 0);
	assert_int_equal(datapath_commit(datapath), -ETIMEDOUT);
	assert_hung(POLLIN);
	assert_said(AGENT_BYPASS_SET, 0, false);
	assert_said(AGENT_COMMIT, 1, false);
	/* The answer to another request does not count. */
	will_reply(7, 0);
	assert_hung(POLLIN);
	will_reply(1, 0);
	assert_answers();
	assert_int_equal(datapath_bypass_set(datapath, &prefix, &from_option), 0);
	assert_said(AGENT_BYPASS_SET, 0, false);
}

static void test_a_queue_that_stays_full(void **state)
{
	struct agent_request request;
	int fd, requests = 0, error;

	(void)state;
	while ((error = datapath_bypass_set(datapath, &prefix, &from_option)) == 0)
		requests++;
	assert_int_equal(error, -ETIMEDOUT);
	assert_hung(POLLOUT);
	while (rendezvous_receive(agent, &request, sizeof(request), &fd, MSG_DONTWAIT) > 0)
		requests--;
	assert_int_equal(requests, 0);
	/* There is room, so it is asked. */
	assert_hung(POLLOUT);
	assert_said(AGENT_COMMIT, 2, false);
	assert_hung(POLLIN);
	will_reply(2, 0);
	assert_answers();
}

static void test_the_end_does_not_wait_for_an_agent_that_hangs(void **state)
{
	uint64_t begin_ms;

	assert_int_equal(begin(state), 0);
	assert_int_equal(datapath_attach(datapath), -ETIMEDOUT);
	assert_said(AGENT_ATTACH, 1, false);
	begin_ms = clock_ms();
	datapath_free(datapath);
	assert_true(clock_ms() - begin_ms < LIMIT_MS);
	/* It does so when it continues. */
	assert_said(AGENT_DETACH, 0, false);
	(void)close(agent);
}

static void test_leaving_detaches_nothing_and_ends_udp_pass(void **state)
{
	struct agent_request request;
	int fd;

	(void)state;
	assert_int_equal(datapath_set_gateway(datapath, "unix:/gateway"), 0);
	assert_said(AGENT_NAMESPACE, 0, false);
	datapath_leave(datapath);
	assert_int_equal(rendezvous_receive(agent, &request, sizeof(request), &fd, MSG_DONTWAIT),
			 sizeof(request));
	assert_int_equal(request.type, AGENT_NAMESPACE);
	assert_int_equal(request.namespace.udp_pass, SIDESTEP_UDP_DENY);
	assert_int_equal(rendezvous_receive(agent, &request, sizeof(request), &fd, MSG_DONTWAIT),
			 -EPIPE);
}

static void test_the_agent_is_told_that_nobody_is_left_to_serve(void **state)
{
	(void)state;
	datapath_agent_deserted(datapath);
	assert_said(AGENT_DESERTED, 0, false);
	datapath_agent_forget(datapath);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_before_attaching_nothing_waits, begin, end),
		cmocka_unit_test_setup_teardown(test_when_attached_it_has_happened_on_return, begin,
						end),
		cmocka_unit_test_setup_teardown(test_events_never_wait, begin, end),
		cmocka_unit_test_setup_teardown(test_a_reply_that_does_not_come, begin, end),
		cmocka_unit_test_setup_teardown(test_a_queue_that_stays_full, begin, end),
		cmocka_unit_test(test_the_end_does_not_wait_for_an_agent_that_hangs),
		cmocka_unit_test_setup_teardown(test_leaving_detaches_nothing_and_ends_udp_pass,
						begin, end_left),
		cmocka_unit_test_setup_teardown(test_the_agent_is_told_that_nobody_is_left_to_serve,
						begin, end_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
