// SPDX-License-Identifier: Apache-2.0
/* Tests the table of first speakers, and what connections teach it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/first_speaker.h"

static struct first_speakers speakers;

static void test_table(void **state)
{
	static const uint16_t client[] = {80, 443, 8080, 8443, 993, 853};
	static const uint16_t server[] = {21, 22, 25, 110, 143, 587, 3306};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(client) / sizeof(client[0]); i++) {
		first_speaker_learn(&speakers, client[i], FIRST_SPEAKER_SERVER, 1);
		assert_int_equal(first_speaker_expect(&speakers, client[i], 1),
				 FIRST_SPEAKER_CLIENT);
	}
	for (i = 0; i < sizeof(server) / sizeof(server[0]); i++) {
		first_speaker_learn(&speakers, server[i], FIRST_SPEAKER_CLIENT, 1);
		assert_int_equal(first_speaker_expect(&speakers, server[i], 1),
				 FIRST_SPEAKER_SERVER);
	}
	assert_true(first_speaker_is_http(80));
	assert_true(first_speaker_is_http(8080));
	assert_false(first_speaker_is_http(443));
	assert_false(first_speaker_is_http(22));
	assert_false(first_speaker_is_http(12345));
}

static void test_learned(void **state)
{
	/* 49 days of uptime do not fit 32 bits of ms. */
	static const uint64_t starts[] = {0, 1, 123456789, 1ULL << 33};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		uint16_t port = (uint16_t)(9000 + i);
		uint64_t now = starts[i];

		assert_int_equal(first_speaker_expect(&speakers, port, now), FIRST_SPEAKER_UNKNOWN);
		first_speaker_learn(&speakers, port, FIRST_SPEAKER_CLIENT, now);
		assert_int_equal(first_speaker_expect(&speakers, port, now), FIRST_SPEAKER_CLIENT);
		assert_int_equal(first_speaker_expect(&speakers, 65535, now),
				 FIRST_SPEAKER_UNKNOWN);
		now += FIRST_SPEAKER_KEPT_MS;
		assert_int_equal(first_speaker_expect(&speakers, port, now), FIRST_SPEAKER_CLIENT);
		first_speaker_learn(&speakers, port, FIRST_SPEAKER_SERVER, now);
		assert_int_equal(first_speaker_expect(&speakers, port, now), FIRST_SPEAKER_SERVER);
		now += FIRST_SPEAKER_KEPT_MS + 60000;
		assert_int_equal(first_speaker_expect(&speakers, port, now), FIRST_SPEAKER_UNKNOWN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_learned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
