// SPDX-License-Identifier: Apache-2.0
/* Checks the words for the origin of a bypassed subnet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "datapath/bypass_origin.h"

static void check(const struct bypass_origin *origin, const char *wanted)
{
	char text[BYPASS_ORIGIN_MAX];

	assert_string_equal(bypass_origin(origin, text), wanted);
}

static void test_names(void **state)
{
	(void)state;
	check(&(struct bypass_origin) {SIDESTEP_FROM_OPTION, BYPASS_OPTION_BYPASS, "", ""},
	      "option --bypass");
	check(&(struct bypass_origin) {SIDESTEP_FROM_OPTION, BYPASS_OPTION_DOCKER, "", ""},
	      "option --docker-gateway-cidr");
	check(&(struct bypass_origin) {SIDESTEP_FROM_OPTION, BYPASS_OPTION_ADDED, "", ""},
	      "sidestep bypass add");
	check(&(struct bypass_origin) {SIDESTEP_FROM_CONNECTED, 0, "eth0", ""}, "interface eth0");
	check(&(struct bypass_origin) {SIDESTEP_FROM_DOCKER, 0, "", "backend"},
	      "docker network backend");
}

static void test_unknown_names(void **state)
{
	(void)state;
	check(&(struct bypass_origin) {SIDESTEP_FROM_OPTION, 0, "", ""}, "option");
	check(&(struct bypass_origin) {SIDESTEP_FROM_CONNECTED, 0, "", ""}, "connected");
	check(&(struct bypass_origin) {SIDESTEP_FROM_DOCKER, 0, "", ""}, "docker");
	check(&(struct bypass_origin) {0, 0, "eth0", "backend"}, "");
}

static void test_several(void **state)
{
	struct bypass_origin origin = {0xff, BYPASS_OPTION_BYPASS, "eth0", ""};
	char text[BYPASS_ORIGIN_MAX];

	(void)state;
	check(&(struct bypass_origin) {SIDESTEP_FROM_CONNECTED | SIDESTEP_FROM_DOCKER |
					       SIDESTEP_EXCEPT_DNS,
				       0, "eth1", "backend"},
	      "interface eth1, docker network backend, except dns");
	/* The longest text has room. */
	memset(origin.network, 'n', sizeof(origin.network) - 1);
	assert_true(strlen(bypass_origin(&origin, text)) < sizeof(text) - 1);
	assert_non_null(strstr(text, "host, except dns"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_unknown_names),
		cmocka_unit_test(test_several),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
