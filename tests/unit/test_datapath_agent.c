// SPDX-License-Identifier: Apache-2.0
/* Checks a sidecar's requests to the agent, and for which replies it waits. Replies are there
 * before it asks, so nobody is needed at the other end. */
#include <errno.h>
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
#include "lib/util.h"

static struct datapath *datapath;
static int agent;

static int begin(void **state)
{
	int pair[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	agent = pair[0];
	return datapath_agent_new(pair[1], false, &datapath);
}

static int end(void **state)
{
	(void)state;
	datapath_agent_forget(datapath);
	return close(agent);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_before_attaching_nothing_waits, begin, end),
		cmocka_unit_test_setup_teardown(test_when_attached_it_has_happened_on_return, begin,
						end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
