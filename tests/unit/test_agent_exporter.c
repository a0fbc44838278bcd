// SPDX-License-Identifier: Apache-2.0
/* Tests the agent's side of its exporter, without the process: options, and events that nobody
 * takes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/agent_exporter.h"

static void collect(void *context, struct metrics_set *set)
{
	(void)context;
	(void)set;
}

static int make(const struct agent_options *options, struct agent_exporter **ret_exporter)
{
	return agent_exporter_new(options, collect, NULL, ret_exporter);
}

/* The agent's start fails, and not the exporter's alone. */
static void test_wrong_options(void **state)
{
	struct agent_options options = {.metrics_listen = "0.0.0.0:9093"};
	struct agent_exporter *exporter = NULL;

	(void)state;
	assert_int_equal(make(&options, &exporter), -EINVAL);
	options = (struct agent_options) {.otlp.url = "ftp://192.0.2.1"};
	assert_int_equal(make(&options, &exporter), -EINVAL);
	options.otlp.url = "https://192.0.2.1";
	options.otlp.ca = "/dev/null";
	assert_int_equal(make(&options, &exporter), -EINVAL);
	assert_null(exporter);
}

static void test_events_without_a_process_are_lost(void **state)
{
	const struct agent_options options = {.otlp.url = "http://192.0.2.1"};
	const struct event event = event_of(EVENT_CONNECTION);
	struct agent_exporter *exporter = NULL;
	struct event_sink sink;
	int i;

	(void)state;
	assert_int_equal(make(&options, &exporter), 0);
	sink = agent_exporter_sink(exporter);
	/* More than one batch. */
	for (i = 0; i < 10000; i++)
		sink.take(sink.context, &event);
	assert_true(agent_exporter_lost(exporter) > 0);
	assert_true(agent_exporter_lost(exporter) < 10000);
	sink.flush(sink.context);
	assert_int_equal(agent_exporter_lost(exporter), 10000);
	sink.flush(sink.context);
	assert_int_equal(agent_exporter_lost(exporter), 10000);
	agent_exporter_free(exporter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_options),
		cmocka_unit_test(test_events_without_a_process_are_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
