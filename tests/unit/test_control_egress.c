// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/control_egress.h"

static int parse(const char *body, struct control_egress *change, char *reason)
{
	size_t size = strlen(body);
	/* The copy has no NUL, so that the sanitizer sees a read behind the end. */
	char *copy = malloc(size ? size : 1);
	int error;

	memcpy(copy, body, size);
	error = control_egress_parse(copy, size, change, reason);
	free(copy);
	return error;
}

static void expect_refused(const char *body, const char *reason)
{
	char have[CONTROL_EGRESS_REASON_MAX];
	struct control_egress change;

	assert_int_equal(parse(body, &change, have), -EINVAL);
	if (!strstr(have, reason))
		fail_msg("%s: \"%s\" lacks \"%s\"", body, have, reason);
	control_egress_clear(&change);
}

static void all_fields_are_read(void **state)
{
	char reason[CONTROL_EGRESS_REASON_MAX];
	struct control_egress change;

	(void)state;
	assert_int_equal(parse("{\"port\": 8080, \"internet\": {\"enabled\": false},"
			       " \"dns\": {\"allowHostnames\": [\"*.example.com\", \"b\"]}}\n",
			       &change, reason),
			 0);
	assert_true(change.has_port);
	assert_int_equal(change.port, 8080);
	assert_true(change.policy.has_internet);
	assert_false(change.policy.internet);
	assert_true(change.policy.has_allowed);
	assert_int_equal(change.policy.allowed_count, 2);
	assert_string_equal(change.policy.allowed[0], "*.example.com");
	assert_string_equal(change.policy.allowed[1], "b");
	control_egress_clear(&change);
}

static void absent_is_unchanged(void **state)
{
	char reason[CONTROL_EGRESS_REASON_MAX];
	struct control_egress change;

	(void)state;
	assert_int_equal(parse("{\"port\":1}", &change, reason), 0);
	assert_false(change.policy.has_internet || change.policy.has_allowed);
	control_egress_clear(&change);
	assert_int_equal(parse("{\"internet\":{\"enabled\":true},\"dns\":{}}", &change, reason), 0);
	assert_true(change.policy.has_internet && change.policy.internet);
	assert_false(change.has_port || change.policy.has_allowed);
	control_egress_clear(&change);
	/* An empty list is allowed. */
	assert_int_equal(parse("{\"dns\":{\"allowHostnames\":[]}}", &change, reason), 0);
	assert_true(change.policy.has_allowed);
	assert_int_equal(change.policy.allowed_count, 0);
	control_egress_clear(&change);
	/* A newer workerd may send more. */
	assert_int_equal(parse("{\"port\":65535,\"new\":{\"a\":[null]},\"dns\":{\"x\":1}}", &change,
			       reason),
			 0);
	assert_int_equal(change.port, 65535);
	control_egress_clear(&change);
}

static void errors_name_field_and_position(void **state)
{
	(void)state;
	expect_refused("", "empty");
	expect_refused("{}", "names nothing");
	expect_refused("{\"unknown\":1}", "names nothing");
	expect_refused("[]", "object is needed, not an array");
	expect_refused("1", "JSON");
	expect_refused("{\"port\":1", "JSON: line 1, column 9");
	expect_refused("{\"port\":1}\n{", "JSON: line 2, column 1");
	expect_refused("{\"port\":1,\"port\":2}", "duplicate");
	expect_refused("{\"dns\":{\"allowHostnames\":[],\"allowHostnames\":[]}}", "duplicate");
	expect_refused("{\"port\":0}", "\"port\" must be from 1 to 65535, not 0");
	expect_refused("{\"port\":65536}", "not 65536");
	expect_refused("{\"port\":-1}", "not -1");
	expect_refused("{\"port\":99999999999999999999}", "JSON");
	expect_refused("{\"port\":\"80\"}",
		       "\"port\" must be an integer from 1 to 65535, not a string");
	expect_refused("{\"port\":80.0}", "not a number that is not an integer");
	expect_refused("{\"port\":null}", "not null");
	expect_refused("{\"internet\":true}", "\"internet\" must be an object");
	expect_refused("{\"internet\":{\"enabled\":1}}", "\"internet.enabled\"");
	expect_refused("{\"dns\":[]}", "\"dns\" must be an object");
	expect_refused("{\"dns\":{\"allowHostnames\":\"*\"}}",
		       "\"dns.allowHostnames\" must be an array");
	expect_refused("{\"dns\":{\"allowHostnames\":[\"a\",{}]}}", "\"dns.allowHostnames[1]\"");
	expect_refused("{\"dns\":{\"allowHostnames\":[\"a\",\"b\",\"\"]}}",
		       "\"dns.allowHostnames[2]\" has 0 bytes");
	expect_refused("{\"dns\":{\"allowHostnames\":[\"a\\u0000b\"]}}", "JSON");
	expect_refused("{\"port\":1,\"x\":\"\xff\"}", "JSON");
}

static void sizes_are_limited(void **state)
{
	char *body = malloc(65536), *at = body, reason[CONTROL_EGRESS_REASON_MAX];
	struct control_egress change;
	int i, length;

	(void)state;
	expect_refused("{\"x\":[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]],\"port\":1}", "nested deeper");
	assert_int_equal(
		parse("{\"x\":\"[[[[[[[[[[[[[[[[[[\\\"[[[[\",\"port\":1}", &change, reason), 0);
	control_egress_clear(&change);
	for (length = POLICY_GLOB_MAX; length <= POLICY_GLOB_MAX + 1; length++) {
		(void)sprintf(body, "{\"dns\":{\"allowHostnames\":[\"%0*d\"]}}", length, 1);
		assert_int_equal(parse(body, &change, reason),
				 length > POLICY_GLOB_MAX ? -EINVAL : 0);
		control_egress_clear(&change);
	}
	at += sprintf(at, "{\"dns\":{\"allowHostnames\":[\"a\"");
	for (i = 1; i < POLICY_GLOBS_MAX; i++)
		at += sprintf(at, ",\"a\"");
	(void)sprintf(at, "]}}");
	assert_int_equal(parse(body, &change, reason), 0);
	assert_int_equal(change.policy.allowed_count, POLICY_GLOBS_MAX);
	control_egress_clear(&change);
	(void)sprintf(at, ",\"a\"]}}");
	expect_refused(body, "1025 entries");
	free(body);
}

/* The owner's part of a switch: its calls, and what the policy said then. */
struct owner {
	const struct policy *policy;
	char calls[64];
	int error;
};

static int set_internet(void *context, bool on, char *reason, size_t size)
{
	struct owner *owner = context;

	assert_int_equal(size, CONTROL_EGRESS_REASON_MAX);
	strcat(owner->calls, on ? "on" : "off");
	strcat(owner->calls, policy_internet(owner->policy) ? "(on) " : "(off) ");
	strcpy(reason, "why");
	return on ? 0 : owner->error;
}

static int apply(struct control_config *config, const char *body)
{
	char reason[CONTROL_EGRESS_REASON_MAX] = "";
	struct control_egress change;
	int error;

	((struct owner *)config->context)->calls[0] = '\0';
	assert_int_equal(parse(body, &change, reason), 0);
	error = control_egress_apply(&change, config, reason);
	if (error == -EXDEV)
		assert_string_equal(reason, "why");
	control_egress_clear(&change);
	return error;
}

static void the_owner_steers_before_the_internet_is_off(void **state)
{
	static const char off[] = "{\"internet\":{\"enabled\":false}}";
	const struct policy_config policy_config = {.every_type = true};
	struct owner owner = {.error = -EXDEV};
	struct control_config config = {.set_internet = set_internet, .context = &owner};

	(void)state;
	assert_int_equal(policy_new(&policy_config, &config.policy), 0);
	owner.policy = config.policy;
	assert_int_equal(apply(&config, off), -EXDEV);
	assert_string_equal(owner.calls, "off(on) ");
	assert_true(policy_internet(config.policy));
	owner.error = 0;
	assert_int_equal(apply(&config, off), 0);
	assert_string_equal(owner.calls, "off(on) ");
	assert_false(policy_internet(config.policy));
	assert_int_equal(apply(&config, "{\"dns\":{\"allowHostnames\":[]}}"), 0);
	assert_string_equal(owner.calls, "");
	assert_string_equal(policy_origins(config.policy).allowed, CONTROL_EGRESS_ORIGIN);
	assert_string_equal(policy_origins(config.policy).internet, CONTROL_EGRESS_ORIGIN);
	assert_int_equal(apply(&config, "{\"internet\":{\"enabled\":true}}"), 0);
	assert_string_equal(owner.calls, "on(on) ");
	policy_free(config.policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_owner_steers_before_the_internet_is_off),
		cmocka_unit_test(all_fields_are_read),
		cmocka_unit_test(absent_is_unchanged),
		cmocka_unit_test(errors_name_field_and_position),
		cmocka_unit_test(sizes_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
