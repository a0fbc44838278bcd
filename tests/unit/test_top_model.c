// SPDX-License-Identifier: Apache-2.0
/* The model of `sidestep top`: rows, rates, order, the flows of a row, and the limits. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "commands/top_model.h"
#include "lib/util.h"

static int set_up(void **state)
{
	*state = top_model_new();
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	top_model_free(*state);
	return 0;
}

static void take(struct top_model *model, const char *line)
{
	assert_int_equal(top_model_event(model, line, strlen(line)), 0);
}

#define CURL "\"container\":{\"name\":\"web\"},\"process\":{\"comm\":\"curl\"},"

/* @port: the application's. */
static void take_connection(struct top_model *model, const char *type, unsigned int port,
			    const char *end)
{
	char line[1024];

	(void)snprintf(line, sizeof(line),
		       "{\"schema\":1,\"type\":\"%s\"," CURL
		       "\"src\":\"10.0.0.2:%u\",\"dst\":\"203.0.113.1:443\",\"name\":\"a.test\","
		       "\"verdict\":\"steer_tcp\",\"reason\":\"%s\",\"message\":%s,"
		       "\"gateway_status\":%s,\"bytes_sent\":1000,\"bytes_received\":3000,"
		       "\"end\":\"%s\"}",
		       type, port, strcmp(end, "fin") == 0 ? "relayed" : "gateway_refused",
		       strcmp(end, "fin") == 0 ? "null" : "\"the gateway refused\"",
		       strcmp(end, "fin") == 0 ? "200" : "403", end);
	take(model, line);
}

static const struct top_row *row(struct top_model *model, enum top_group group, const char *name)
{
	const struct top_row *const *rows;
	size_t count, i;

	rows = top_model_rows(model, group, TOP_NAME, &count);
	for (i = 0; i < count; i++)
		if (strcmp(rows[i]->name, name) == 0)
			return rows[i];
	fail_msg("no row %s", name);
	return NULL;
}

/* A connection is in one row of each table, first as open and then with its sums. */
static void test_connection(void **state)
{
	struct top_model *model = *state;
	static const char *const names[] = {"web", "curl", "a.test:443"};
	int group;

	top_model_tick(model, 1000);
	take_connection(model, "open", 40000, "");
	take_connection(model, "open", 40001, "");
	top_model_tick(model, 2000);
	for (group = 0; group < TOP_GROUPS; group++) {
		const struct top_row *one = row(model, (enum top_group)group, names[group]);

		assert_int_equal((int)one->value[TOP_OPEN], 2);
		assert_int_equal((int)one->value[TOP_RATE], 2);
	}
	take_connection(model, "connection", 40000, "fin");
	take_connection(model, "connection", 40001, "refused");
	top_model_tick(model, 4000);
	for (group = 0; group < TOP_GROUPS; group++) {
		const struct top_row *one = row(model, (enum top_group)group, names[group]);

		assert_int_equal((int)one->value[TOP_OPEN], 0);
		assert_int_equal((int)one->value[TOP_CONNECTIONS], 2);
		assert_int_equal((int)one->value[TOP_FAILED], 1);
		assert_int_equal((int)one->value[TOP_SENT], 2000);
		assert_int_equal((int)one->value[TOP_RECEIVED], 6000);
		assert_int_equal((int)one->value[TOP_BYTES_RATE], 4000);
		assert_int_equal((int)one->value[TOP_RATE], 0);
	}
}

static void test_reason_of_a_flow(void **state)
{
	struct top_model *model = *state;
	const struct top_flow *flows[8];

	take_connection(model, "connection", 40000, "fin");
	take_connection(model, "connection", 40001, "refused");
	assert_int_equal(top_model_flows(model, TOP_PROCESS, "curl", flows, 8), 2);
	/* The newest comes first. */
	assert_string_equal(flows[0]->source, "10.0.0.2:40001");
	assert_string_equal(flows[0]->reason, "gateway_refused");
	assert_string_equal(flows[0]->message, "the gateway refused");
	assert_int_equal(flows[0]->gateway_status, 403);
	assert_string_equal(flows[1]->end, "fin");
	assert_int_equal(top_model_flows(model, TOP_PROCESS, "curl", flows, 1), 1);
	assert_string_equal(flows[0]->source, "10.0.0.2:40001");
	assert_int_equal(top_model_flows(model, TOP_PROCESS, "wget", flows, 8), 0);
}

/* The map tells the bytes of a connection that an event has begun, and of one that no event has. */
static void test_flows_of_a_map(void **state)
{
	struct top_model *model = *state;

	take_connection(model, "open", 40000, "");
	top_model_flow(model, "web", "10.0.0.2:40000", "203.0.113.1:443", 500, 700);
	top_model_flow(model, "old", "10.0.0.3:1", "203.0.113.9:22", 1, 2);
	top_model_tick(model, 1000);
	assert_int_equal((int)row(model, TOP_PROCESS, "curl")->open_sent, 500);
	assert_int_equal((int)row(model, TOP_CONTAINER, "old")->value[TOP_OPEN], 1);
	assert_int_equal((int)row(model, TOP_DESTINATION, "203.0.113.9:22")->open_received, 2);
	top_model_flow(model, "web", "10.0.0.2:40000", "203.0.113.1:443", 1500, 700);
	top_model_tick(model, 2000);
	assert_int_equal((int)row(model, TOP_PROCESS, "curl")->value[TOP_BYTES_RATE], 1000);
	/* The map has it no more. The other one's end is told by an event. */
	assert_int_equal((int)row(model, TOP_CONTAINER, "old")->value[TOP_OPEN], 0);
	top_model_tick(model, 3000);
	assert_int_equal((int)row(model, TOP_PROCESS, "curl")->value[TOP_OPEN], 1);
	top_model_forget_open(model);
	top_model_tick(model, 4000);
	assert_int_equal((int)row(model, TOP_PROCESS, "curl")->value[TOP_OPEN], 0);
}

static void test_denied(void **state)
{
	struct top_model *model = *state;

	top_model_tick(model, 1000);
	take(model, "{\"type\":\"denied\"," CURL "\"src\":\"10.0.0.2:5\",\"dst\":\"192.0.2.1:9\","
		    "\"name\":null,\"verdict\":\"deny_udp\",\"reason\":\"udp\",\"packets\":7}");
	take(model, "{\"type\":\"lost\",\"lost\":3}");
	top_model_tick(model, 2000);
	assert_int_equal((int)row(model, TOP_CONTAINER, "web")->value[TOP_DENIED], 7);
	assert_int_equal((int)row(model, TOP_DESTINATION, "192.0.2.1:9")->value[TOP_DENIED_RATE],
			 7);
	assert_int_equal(top_model_lost(model), 3);
}

static void test_verdicts(void **state)
{
	struct top_model *model = *state;
	const struct top_verdict *verdicts;
	size_t count;

	top_model_counter(model, "web", "steer_tcp", 10);
	top_model_counter(model, "web", "local", 0);
	top_model_tick(model, 1000);
	top_model_counter(model, "web", "steer_tcp", 30);
	top_model_tick(model, 2000);
	verdicts = top_model_verdicts(model, &count);
	assert_int_equal(count, 1);
	assert_int_equal((int)verdicts[0].rate, 20);
	/* The instance has started anew. */
	top_model_counter(model, "web", "steer_tcp", 5);
	top_model_tick(model, 3000);
	assert_int_equal((int)verdicts[0].rate, 5);
}

static void test_order(void **state)
{
	struct top_model *model = *state;
	const struct top_row *const *rows;
	size_t count;

	top_model_flow(model, "a", "10.0.0.2:1", "192.0.2.1:1", 10, 0);
	top_model_flow(model, "b", "10.0.0.2:2", "192.0.2.1:1", 30, 0);
	top_model_flow(model, "c", "10.0.0.2:3", "192.0.2.1:1", 20, 0);
	top_model_tick(model, 1000);
	rows = top_model_rows(model, TOP_CONTAINER, TOP_SENT, &count);
	assert_int_equal(count, 3);
	assert_string_equal(rows[0]->name, "b");
	assert_string_equal(rows[1]->name, "c");
	rows = top_model_rows(model, TOP_CONTAINER, TOP_NAME, &count);
	assert_string_equal(rows[0]->name, "a");
	rows = top_model_rows(model, TOP_CONTAINER, TOP_OPEN, &count);
	assert_string_equal(rows[2]->name, "c");
}

/* More connections and names than there is room for push out the oldest, and nothing else. */
static void test_limits(void **state)
{
	struct top_model *model = *state;
	const struct top_row *const *rows;
	char name[64], source[64];
	size_t count, i;

	for (i = 0; i < 2 * TOP_FLOWS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "container%zu", i);
		(void)snprintf(source, sizeof(source), "10.0.0.2:%zu", i);
		top_model_flow(model, name, source, "203.0.113.1:443", 1, 1);
		if (i % 100 == 99)
			top_model_tick(model, 1000 * i);
	}
	top_model_tick(model, 1000 * i);
	rows = top_model_rows(model, TOP_CONTAINER, TOP_NAME, &count);
	assert_int_equal(count, TOP_ROWS_MAX);
	(void)rows;
	(void)row(model, TOP_CONTAINER, name);
	/* A name that is cut is one row. */
	top_model_flow(model,
		       "0123456789012345678901234567890123456789012345678901234567890123456789"
		       "0123456789012345678901234567890123456789012345678901234567890123456789",
		       "10.0.0.2:1", "192.0.2.1:1", 1, 1);
	top_model_tick(model, 1000 * i + 1);
	top_model_tick(model, 1000 * i + 2);
}

static void test_no_event(void **state)
{
	static const char *const lines[] = {"", "{", "[]", "{}", "\"a\"", "{\"type\":1}"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(top_model_event(*state, lines[i], strlen(lines[i])), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_connection, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reason_of_a_flow, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_flows_of_a_map, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_denied, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_verdicts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_event, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
