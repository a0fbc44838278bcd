// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lib/util.h"
#include "proxy/policy.h"

static void allow(struct policy *policy, const char *const *globs, size_t count)
{
	struct policy_change change = {.has_allowed = true,
				       .allowed = globs,
				       .allowed_count = count};

	assert_int_equal(policy_apply(policy, &change), 0);
}

/* As with the control API at the start: everything is allowed. */
static int policy_open(struct policy **ret_policy)
{
	static const char *const everything[] = {"*"};
	const struct policy_config config = {.allowed = everything, .allowed_count = 1};

	return policy_new(&config, ret_policy);
}

static void test_defaults(void **state)
{
	struct policy *policy;

	(void)state;
	assert_int_equal(policy_open(&policy), 0);
	assert_true(policy_internet(policy));
	assert_true(policy_allows(policy, "example.com"));
	assert_true(policy_allows(policy, "."));
	assert_true(policy_allows(policy, ""));
	policy_free(policy);
	policy_free(NULL);
}

static void test_globs(void **state)
{
	static const struct {
		const char *glob, *name;
		bool match;
	} cases[] = {
		{"example.com", "example.com", true},
		{"example.com", "Example.COM.", true},
		{"EXAMPLE.com.", "example.com", true},
		{"example.com", "example.com..", false},
		{"example.com", "xexample.com", false},
		{"example.com", "example.comx", false},
		{"example.com", "example.co", false},
		{"*.example.com", "a.example.com", true},
		{"*.example.com", "a.b.example.com.", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", ".example.com", true},
		{"*example.com", "example.com", true},
		{"example.*", "example.", false},
		{"example.*", "example.org", true},
		{"a*c*e", "abcde", true},
		{"a*c*e", "ace", true},
		{"a*c*e", "acebecd", false},
		{"a*c*e", "ae", false},
		{"*ab", "aab", true},
		{"*aab*", "aaaab", true},
		{"**", "x", true},
		{"a**b", "ab", true},
		{"*", "any.name.at.all", true},
		{".", ".", true},
		{".", "a", false},
		{"?.com", "a.com", false},
		{"[a].com", "a.com", false},
		{"\\*.com", "*.com", false},
		{"*.b.com", "a\\046b.com", false},
	};
	struct policy *policy;
	size_t i;

	(void)state;
	assert_int_equal(policy_open(&policy), 0);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		allow(policy, &cases[i].glob, 1);
		if (policy_allows(policy, cases[i].name) != cases[i].match)
			fail_msg("\"%s\" against \"%s\"", cases[i].glob, cases[i].name);
	}
	policy_free(policy);
}

/* A client tries single labels and the search list. Only a glob that names them allows them. */
static void test_tried(void **state)
{
	static const char *const search[] = {"corp.test", "Svc.Example."};
	static const struct {
		const char *glob, *name;
		bool allowed, tried;
	} cases[] = {
		{"*", "single", true, true},
		{"*", "single.", true, true},
		{"*", "", true, true},
		{"*", "corp.test", true, true},
		{"*", "good.CORP.test.", true, true},
		{"*", "a.b.svc.example", true, true},
		{"*", "xcorp.test", true, false},
		{"*", "corp.test.org", true, false},
		{"**", "good.corp.test", true, true},
		{"*.corp.test", "good.corp.test", true, false},
		{"single", "single", true, false},
		{"other", "single", false, false},
	};
	const struct policy_config config = {.search = search, .search_count = 2};
	struct policy_verdict verdict;
	struct policy *policy;
	size_t i;

	(void)state;
	assert_int_equal(policy_new(&config, &policy), 0);
	verdict = policy_judge(policy, "a.example");
	assert_true(verdict.internet);
	assert_false(verdict.allowed || verdict.tried || verdict.every_type);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *const globs[] = {cases[i].glob, "named.test"};

		allow(policy, globs, 2);
		verdict = policy_judge(policy, cases[i].name);
		if (verdict.allowed != cases[i].allowed || verdict.tried != cases[i].tried)
			fail_msg("\"%s\" against \"%s\"", cases[i].glob, cases[i].name);
	}
	policy_free(policy);
}

static void test_first_globs(void **state)
{
	static const char *const bad[] = {"a", ""};
	struct policy_config config = {.allowed = bad, .allowed_count = 2};
	struct policy *policy = NULL;

	(void)state;
	assert_int_equal(policy_new(&config, &policy), -EINVAL);
	assert_null(policy);
	config.allowed_count = 1;
	config.every_type = true;
	assert_int_equal(policy_new(&config, &policy), 0);
	assert_true(policy_judge(policy, "a").allowed && policy_judge(policy, "a").every_type);
	assert_false(policy_allows(policy, "b"));
	policy_free(policy);
}

/* One name is judged by itself. Afterwards it is a name like any other. */
static void test_expected(void **state)
{
	struct policy *policy;
	struct policy_verdict verdict;

	(void)state;
	assert_int_equal(policy_open(&policy), 0);
	allow(policy, NULL, 0);
	assert_false(policy_expect(policy, "a1.invalid"));
	assert_false(policy_expect(policy, "a1.invalid"));
	verdict = policy_judge(policy, "A1.invalid");
	assert_true(verdict.allowed && verdict.every_type);
	assert_false(verdict.internet || verdict.tried);
	verdict = policy_judge(policy, "a2.invalid");
	assert_true(verdict.internet && !verdict.allowed);
	assert_true(policy_expect(policy, ""));
	verdict = policy_judge(policy, "a1.invalid");
	assert_true(verdict.internet && !verdict.allowed);
	/* Another name that comes is not the expected one. */
	assert_false(policy_expect(policy, "a3.invalid"));
	(void)policy_judge(policy, "a1.invalid");
	(void)policy_judge(policy, NULL);
	assert_false(policy_expect(policy, ""));
	policy_free(policy);
}

static void test_several(void **state)
{
	static const char *const globs[] = {"a.test", "*.b.test", "c.*"};
	struct policy *policy;

	(void)state;
	assert_int_equal(policy_open(&policy), 0);
	allow(policy, globs, ARRAY_SIZE(globs));
	assert_true(policy_allows(policy, "a.test"));
	assert_true(policy_allows(policy, "x.b.test"));
	assert_true(policy_allows(policy, "c.d"));
	assert_false(policy_allows(policy, "d.test"));
	allow(policy, NULL, 0);
	assert_false(policy_allows(policy, "a.test"));
	assert_false(policy_allows(policy, ""));
	policy_free(policy);
}

static void test_absent_is_unchanged(void **state)
{
	static const char *const globs[] = {"a.test"};
	struct policy_change change = {.has_internet = true, .internet = false};
	struct policy *policy;

	(void)state;
	assert_int_equal(policy_open(&policy), 0);
	assert_int_equal(policy_apply(policy, &change), 0);
	assert_false(policy_internet(policy));
	assert_true(policy_allows(policy, "b.test"));
	allow(policy, globs, 1);
	assert_false(policy_internet(policy));
	assert_false(policy_allows(policy, "b.test"));
	change = (struct policy_change) {0};
	assert_int_equal(policy_apply(policy, &change), 0);
	assert_false(policy_internet(policy));
	assert_true(policy_allows(policy, "a.test"));
	policy_free(policy);
}

/* Events tell who set each part. */
static void test_origins(void **state)
{
	static const char *const globs[] = {"a.test"};
	const struct policy_config config = {.allowed = globs, .allowed_count = 1, .origin = "one"};
	struct policy_change change = {.has_internet = true, .origin = "two"};
	struct policy_origins origins;
	struct policy *policy;

	(void)state;
	assert_int_equal(policy_new(&config, &policy), 0);
	origins = policy_origins(policy);
	assert_string_equal(origins.allowed, "one");
	assert_null(origins.internet);
	assert_int_equal(policy_apply(policy, &change), 0);
	origins = policy_origins(policy);
	assert_string_equal(origins.allowed, "one");
	assert_string_equal(origins.internet, "two");
	change = (struct policy_change) {.has_allowed = true, .origin = "three"};
	assert_int_equal(policy_apply(policy, &change), 0);
	origins = policy_origins(policy);
	assert_string_equal(origins.allowed, "three");
	assert_string_equal(origins.internet, "two");
	policy_free(policy);
}

static void refuse(struct policy *policy, const char *const *globs, size_t count, int error)
{
	struct policy_change change = {.has_internet = true,
				       .has_allowed = true,
				       .allowed = globs,
				       .allowed_count = count};

	assert_int_equal(policy_apply(policy, &change), error);
	assert_true(policy_internet(policy));
	assert_true(policy_allows(policy, "any"));
}

static void test_limits(void **state)
{
	static const char *const empty[] = {"a", ""};
	const char *many[POLICY_GLOBS_MAX + 1];
	char text[POLICY_GLOB_MAX + 2];
	const char *only = text;
	struct policy *policy;
	size_t i;

	(void)state;
	assert_int_equal(policy_open(&policy), 0);
	for (i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = "a";
	memset(text, 'a', sizeof(text));
	text[POLICY_GLOB_MAX + 1] = '\0';
	refuse(policy, empty, 2, -EINVAL);
	refuse(policy, &only, 1, -EINVAL);
	refuse(policy, many, ARRAY_SIZE(many), -E2BIG);
	text[POLICY_GLOB_MAX] = '\0';
	many[POLICY_GLOBS_MAX - 1] = text;
	allow(policy, many, POLICY_GLOBS_MAX);
	assert_true(policy_allows(policy, text));
	policy_free(policy);
}

/* A matcher that backtracks over every star would run for years. */
static void test_hostile_pattern(void **state)
{
	char glob[POLICY_GLOB_MAX + 1] = "", name[1024];
	const char *only = glob;
	struct policy *policy;
	struct timespec start, end;
	size_t i;

	(void)state;
	for (i = 0; i + 2 < sizeof(glob); i += 2)
		memcpy(glob + i, "*a", 3);
	glob[i - 1] = 'b';
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(policy_open(&policy), 0);
	allow(policy, &only, 1);
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
	assert_false(policy_allows(policy, name));
	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	assert_true(end.tv_sec - start.tv_sec < 2);
	policy_free(policy);
}

struct race {
	struct policy *policy;
	atomic_bool stop;
	atomic_uint mixed, seen[2];
};

/* Both are true or both are false. */
static void *race_read(void *context)
{
	struct race *race = context;

	while (!atomic_load(&race->stop)) {
		struct policy_verdict verdict = policy_judge(race->policy, "a.test");

		if (verdict.internet != verdict.allowed)
			(void)atomic_fetch_add(&race->mixed, 1);
		(void)atomic_fetch_add(&race->seen[verdict.internet], 1);
	}
	return NULL;
}

static void test_seen_whole(void **state)
{
	static const char *const globs[] = {"*.other", "a.*"};
	struct race race = {.policy = NULL};
	pthread_t readers[2];
	unsigned int i;

	(void)state;
	assert_int_equal(policy_open(&race.policy), 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&readers[i], NULL, race_read, &race), 0);
	for (i = 0; i < 20000 || !atomic_load(&race.seen[0]) || !atomic_load(&race.seen[1]); i++) {
		struct policy_change change = {
			.has_internet = true,
			.internet = i % 2,
			.has_allowed = true,
			.allowed = globs,
			.allowed_count = i % 2 ? 2 : 1,
		};

		assert_int_equal(policy_apply(race.policy, &change), 0);
	}
	atomic_store(&race.stop, true);
	for (i = 0; i < 2; i++)
		(void)pthread_join(readers[i], NULL);
	assert_int_equal(race.mixed, 0);
	policy_free(race.policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_globs),
		cmocka_unit_test(test_tried),
		cmocka_unit_test(test_first_globs),
		cmocka_unit_test(test_expected),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_absent_is_unchanged),
		cmocka_unit_test(test_origins),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_hostile_pattern),
		cmocka_unit_test(test_seen_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
