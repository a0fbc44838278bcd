// SPDX-License-Identifier: Apache-2.0
/* Tests how containers' ids are found in the text of /proc/PID/cgroup. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/agent_residents.h"
#include "lib/util.h"

#define ID_A "5a1f9ff426b86c928aac5da89cd995dc7819bc42c26a8eebfbf2da165e21b121"
#define ID_B "086b4a5fc16d9a0a30df9acef0204b622ac091271b5f56328d0c56797e751c95"

/* Returns the ids in @text, each with a blank behind it. */
static const char *ids_in(const char *text)
{
	static char ids[512];
	char id[65];

	ids[0] = '\0';
	while ((text = agent_residents_id(text, id))) {
		strcat(ids, id);
		strcat(ids, " ");
	}
	return ids;
}

static void test_ids(void **state)
{
	static const struct {
		const char *text, *ids;
	} cases[] = {
		{"", ""},
		{"0::/\n", ""},
		{"0::/docker/" ID_A "\n", ID_A " "},
		{"0::/system.slice/docker-" ID_A ".scope\n", ID_A " "},
		{"0::/docker/" ID_A "/docker/" ID_B "\n", ID_A " " ID_B " "},
		{"9:pids:/x/" ID_A "\n0::/x/" ID_B, ID_A " " ID_B " "},
		{"0::/docker/buildkit/abcdefghijklmnopqrstuvwxy\n", ""},
		{"0::/docker/" ID_A "0\n", ""},
		{"0::/docker/0" ID_A "\n", ""},
		{"0::/docker/5a1f9ff426b8\n", ""},
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(ids_in(cases[i].text), cases[i].ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
