// SPDX-License-Identifier: Apache-2.0
/* Tests what the doctor makes of a finding whose text others have chosen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "doctor/doctor.h"
#include "lib/json.h"

static const char *text_of(const json_t *found, size_t i, const char *key)
{
	return json_string_value(json_object_get(json_array_get(found, i), key));
}

/* Bytes that are no text must not keep a finding out of the document. */
static void test_any_bytes(void **state)
{
	_cleanup_json_ json_t *found = json_array();
	struct doctor doctor = {.found = found, .place = "container \xff"};

	(void)state;
	doctor_tell(&doctor, FINDING_OWNERS_TC, "%s egress has %s", "a\x1b[31mb", "c\xff\nok");
	doctor_advise(&doctor, FINDING_MTU_VETH, "ip link set d\xff mtu 1500", "d\xff differs");
	assert_int_equal(json_array_size(found), 2);
	assert_string_equal(text_of(found, 0, "id"), "owners-tc");
	assert_string_equal(text_of(found, 0, "place"), "container \\xff");
	assert_string_equal(text_of(found, 0, "message"), "a\\x1b[31mb egress has c\\xff\\x0aok");
	assert_string_equal(text_of(found, 1, "remedy"), "ip link set d\\xff mtu 1500");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
