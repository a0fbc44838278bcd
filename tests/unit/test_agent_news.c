// SPDX-License-Identifier: Apache-2.0
/* Tests that the agent takes only well-formed messages from its watcher. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/agent_news.h"
#include "lib/log.h"

#define NOW_MS 1000000
#define NOW_US (NOW_MS * 1000)

static struct agent_news last(size_t count)
{
	struct agent_news news = {.type = AGENT_NEWS_LAST,
				  .count = (uint32_t)count,
				  .heard_us = NOW_US};
	size_t i;

	for (i = 0; i < count; i++) {
		memset(news.seen[i].id, 'a', 64);
		memcpy(news.seen[i].name, "app-proxy", 10);
		news.seen[i].pid = 4711;
		news.seen[i].roles = AGENT_SIDECAR | AGENT_GUARDED;
		news.seen[i].unused_since_ms = NOW_MS;
	}
	return news;
}

static bool valid(const struct agent_news *news)
{
	return agent_news_valid(news, agent_news_size(news->count), NOW_US);
}

static void test_valid(void **state)
{
	struct agent_news news = last(AGENT_NEWS_SEEN_MAX);

	(void)state;
	assert_true(valid(&news));
	news.type = AGENT_NEWS_PART;
	assert_true(valid(&news));
	news = last(0);
	assert_true(valid(&news));
	news.type = AGENT_NEWS_REMOVAL_OVER;
	assert_true(valid(&news));
	news = last(1);
	news.seen[0].unused_since_ms = 0;
	(void)snprintf(news.seen[0].id, sizeof(news.seen[0].id), "0");
	(void)snprintf(news.seen[0].name, sizeof(news.seen[0].name), "\\xff ~");
	assert_true(valid(&news));
}

static void test_sizes(void **state)
{
	struct agent_news news = last(2);
	size_t size;

	(void)state;
	for (size = 0; size < sizeof(news) + 2; size++)
		assert_int_equal(agent_news_valid(&news, size, NOW_US), size == agent_news_size(2));
	news.count = AGENT_NEWS_SEEN_MAX + 1;
	assert_false(valid(&news));
	assert_false(agent_news_valid(&news, sizeof(news), NOW_US));
	/* This count's size is small because it overflows. */
	news.count = UINT32_MAX;
	for (size = 0; size < sizeof(news) + 2; size++)
		assert_false(agent_news_valid(&news, size, NOW_US));
	/* Empty parts could go on forever. */
	news = last(0);
	news.type = AGENT_NEWS_PART;
	assert_false(valid(&news));
	news = last(1);
	news.type = AGENT_NEWS_REMOVAL_OVER;
	assert_false(valid(&news));
	news = last(0);
	news.type = AGENT_NEWS_REMOVAL_OVER + 1;
	assert_false(valid(&news));
}

static void test_fields(void **state)
{
	static const char *const ids[] = {"", "A", "g", "../x", "a b", "a\n", "a/json"};
	static const char *const names[] = {"", "a\nb", "a\033[2J", "\x7f", "\xc3\xa4"};
	const struct agent_news good = last(3);
	struct agent_news news;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		news = good;
		(void)snprintf(news.seen[2].id, sizeof(news.seen[2].id), "%s", ids[i]);
		assert_false(valid(&news));
	}
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		news = good;
		(void)snprintf(news.seen[2].name, sizeof(news.seen[2].name), "%s", names[i]);
		assert_false(valid(&news));
	}
	news = good;
	news.seen[2].id[64] = 'a';
	assert_false(valid(&news));
	news = good;
	memset(news.seen[2].name, 'a', sizeof(news.seen[2].name));
	assert_false(valid(&news));
	news = good;
	news.seen[2].pid = -1;
	assert_false(valid(&news));
	news = good;
	news.seen[2].roles = AGENT_GUARDED << 1;
	assert_false(valid(&news));
	news = good;
	news.seen[2].unused_since_ms = -1;
	assert_false(valid(&news));
	news.seen[2].unused_since_ms = NOW_MS + 1;
	assert_false(valid(&news));
	news = last(3);
	news.heard_us = NOW_US + 1;
	assert_false(valid(&news));
	news.heard_us = -1;
	assert_false(valid(&news));
}

static void assert_line(const char *packet, size_t size, const char *text, unsigned int level)
{
	char line[128];
	unsigned int got;

	memcpy(line, packet, size);
	assert_string_equal(agent_news_log_text(line, size, &got), text);
	assert_int_equal(got, level);
}

static void test_log(void **state)
{
	static const char info[] = "sidestep: info: docker: hello\n";

	(void)state;
	assert_line(info, sizeof(info) - 1, "docker: hello", LOG_INFO);
	assert_line(info, sizeof(info) - 2, "docker: hello", LOG_INFO);
	assert_line("sidestep: error: x", 18, "x", LOG_ERROR);
	assert_line("sidestep: debug: ", 17, "", LOG_DEBUG);
	assert_line("sidestep: fatal: x\n", 19, "sidestep: fatal: x", LOG_WARNING);
	assert_line("*** stack smashing\n", 19, "*** stack smashing", LOG_WARNING);
	assert_line("\n", 1, "", LOG_WARNING);
	assert_line("a\0b", 3, "a", LOG_WARNING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
