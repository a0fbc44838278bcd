// SPDX-License-Identifier: Apache-2.0
/* The states of a connection, without a socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/connection.h"
#include "proxy/connection_machine.h"

struct step {
	enum connection_event event;
	enum connection_action action;
	enum connection_state state;
};

static void run(const struct step *steps, size_t count, enum connection_state start)
{
	struct connection_machine machine = {.state = start};
	size_t i;

	for (i = 0; i < count; i++) {
		assert_int_equal(connection_step(&machine, steps[i].event), steps[i].action);
		assert_int_equal(machine.state, steps[i].state);
	}
}

#define RUN(start, ...)                                                                            \
	do {                                                                                       \
		static const struct step steps[] = {__VA_ARGS__};                                  \
		run(steps, sizeof(steps) / sizeof(steps[0]), start);                               \
	} while (0)

static void test_peek_first(void **state)
{
	(void)state;
	RUN(CONNECTION_PEEK, {CONNECTION_PEEKED, CONNECTION_WAIT, CONNECTION_CONNECT},
	    {CONNECTION_PEEKED, CONNECTION_WAIT, CONNECTION_CONNECT},
	    {CONNECTION_CONNECTED, CONNECTION_SEND, CONNECTION_ANSWER},
	    {CONNECTION_ACCEPTED, CONNECTION_PASS, CONNECTION_RELAY},
	    {CONNECTION_PEEKED, CONNECTION_WAIT, CONNECTION_RELAY},
	    {CONNECTION_ENDED, CONNECTION_CLOSE, CONNECTION_DONE},
	    {CONNECTION_FAILED, CONNECTION_WAIT, CONNECTION_DONE});
}

static void test_alone(void **state)
{
	(void)state;
	RUN(CONNECTION_PEEK, {CONNECTION_ALONE, CONNECTION_PASS, CONNECTION_RELAY},
	    {CONNECTION_ENDED, CONNECTION_CLOSE, CONNECTION_DONE});
}

static void test_connect_first(void **state)
{
	(void)state;
	RUN(CONNECTION_PEEK, {CONNECTION_CONNECTED, CONNECTION_WAIT, CONNECTION_PEEK},
	    {CONNECTION_ACCEPTED, CONNECTION_WAIT, CONNECTION_PEEK},
	    {CONNECTION_PEEKED, CONNECTION_SEND, CONNECTION_ANSWER},
	    {CONNECTION_CONNECTED, CONNECTION_WAIT, CONNECTION_ANSWER},
	    {CONNECTION_ACCEPTED, CONNECTION_PASS, CONNECTION_RELAY},
	    {CONNECTION_FAILED, CONNECTION_RESET, CONNECTION_DONE},
	    {CONNECTION_ENDED, CONNECTION_WAIT, CONNECTION_DONE});
}

static void test_no_peek(void **state)
{
	(void)state;
	RUN(CONNECTION_PEEK, {CONNECTION_NO_PEEK, CONNECTION_WAIT, CONNECTION_CONNECT},
	    {CONNECTION_CONNECTED, CONNECTION_SEND, CONNECTION_ANSWER});
}

static void test_redial(void **state)
{
	(void)state;
	RUN(CONNECTION_PEEK, {CONNECTION_CONNECTED, CONNECTION_WAIT, CONNECTION_PEEK},
	    {CONNECTION_REDIAL, CONNECTION_DIAL, CONNECTION_PEEK},
	    {CONNECTION_PEEKED, CONNECTION_WAIT, CONNECTION_CONNECT},
	    {CONNECTION_REDIAL, CONNECTION_DIAL, CONNECTION_CONNECT},
	    {CONNECTION_CONNECTED, CONNECTION_SEND, CONNECTION_ANSWER},
	    {CONNECTION_REDIAL, CONNECTION_DIAL, CONNECTION_CONNECT},
	    {CONNECTION_CONNECTED, CONNECTION_SEND, CONNECTION_ANSWER},
	    {CONNECTION_ACCEPTED, CONNECTION_PASS, CONNECTION_RELAY},
	    {CONNECTION_REDIAL, CONNECTION_WAIT, CONNECTION_RELAY});
}

/* The gateway hangs up during a long peek. It is dialed once the peek is over, and only once. */
static void test_lost(void **state)
{
	(void)state;
	RUN(CONNECTION_PEEK, {CONNECTION_CONNECTED, CONNECTION_WAIT, CONNECTION_PEEK},
	    {CONNECTION_LOST, CONNECTION_WAIT, CONNECTION_PEEK},
	    {CONNECTION_LOST, CONNECTION_WAIT, CONNECTION_PEEK},
	    {CONNECTION_PEEKED, CONNECTION_DIAL, CONNECTION_CONNECT},
	    {CONNECTION_CONNECTED, CONNECTION_SEND, CONNECTION_ANSWER},
	    {CONNECTION_LOST, CONNECTION_WAIT, CONNECTION_ANSWER});
	/* The gateway changes meanwhile, and that one is dialed at once. */
	RUN(CONNECTION_PEEK, {CONNECTION_CONNECTED, CONNECTION_WAIT, CONNECTION_PEEK},
	    {CONNECTION_LOST, CONNECTION_WAIT, CONNECTION_PEEK},
	    {CONNECTION_REDIAL, CONNECTION_DIAL, CONNECTION_PEEK},
	    {CONNECTION_PEEKED, CONNECTION_WAIT, CONNECTION_CONNECT});
}

static void test_state_names(void **state)
{
	(void)state;
	assert_string_equal(connection_state_name(CONNECTION_PEEK), "peek");
	assert_string_equal(connection_state_name(CONNECTION_DONE), "done");
}

static void test_failures(void **state)
{
	(void)state;
	RUN(CONNECTION_PEEK, {CONNECTION_FAILED, CONNECTION_REFUSE, CONNECTION_DONE},
	    {CONNECTION_PEEKED, CONNECTION_WAIT, CONNECTION_DONE},
	    {CONNECTION_CONNECTED, CONNECTION_WAIT, CONNECTION_DONE});
	RUN(CONNECTION_CONNECT, {CONNECTION_FAILED, CONNECTION_REFUSE, CONNECTION_DONE});
	RUN(CONNECTION_ANSWER, {CONNECTION_FAILED, CONNECTION_REFUSE, CONNECTION_DONE});
	RUN(CONNECTION_RELAY, {CONNECTION_FAILED, CONNECTION_RESET, CONNECTION_DONE});
	RUN(CONNECTION_ANSWER, {CONNECTION_ENDED, CONNECTION_REFUSE, CONNECTION_DONE});
}

static void test_idle_cost(void **state)
{
	(void)state;
	/* An idle relayed connection has no other heap. */
	assert_true(sizeof(struct connection) <= 1536);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peek_first),    cmocka_unit_test(test_alone),
		cmocka_unit_test(test_connect_first), cmocka_unit_test(test_no_peek),
		cmocka_unit_test(test_redial),	      cmocka_unit_test(test_lost),
		cmocka_unit_test(test_state_names),   cmocka_unit_test(test_failures),
		cmocka_unit_test(test_idle_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
