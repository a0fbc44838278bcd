// SPDX-License-Identifier: Apache-2.0
/* Metrics as a set and as text: order, limit, escapes, both formats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/util.h"
#include "metrics/metrics_pack.h"
#include "metrics/metrics_set.h"
#include "metrics/metrics_text.h"

/* Finishes and prints the set, and clears it. The caller frees the text. */
static char *print(struct metrics_set *set, enum metrics_format format)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_non_null(stream);
	metrics_set_finish(set);
	metrics_text_print(stream, set, format);
	assert_int_equal(fclose(stream), 0);
	metrics_set_clear(set);
	return text;
}

static void add_verdict(struct metrics_set *set, const char *container, const char *verdict,
			double value)
{
	metrics_add(set, METRICS_PACKETS,
		    (const char *[]) {container, container ? "7" : NULL, verdict}, value);
}

static void test_families_are_grouped(void **state)
{
	struct metrics_set set = {0};
	_cleanup_free_ char *text = NULL;

	(void)state;
	add_verdict(&set, "one", "local", 1);
	metrics_add(&set, METRICS_CONNECTIONS_OPEN, NULL, 3);
	add_verdict(&set, "two", "local", 2);
	text = print(&set, METRICS_TEXT);
	assert_string_equal(
		text,
		"# HELP sidestep_connections_open Connections that are open now.\n"
		"# TYPE sidestep_connections_open gauge\n"
		"sidestep_connections_open 3\n"
		"# HELP sidestep_packets_total Packets that the datapath judged, by verdict.\n"
		"# TYPE sidestep_packets_total counter\n"
		"sidestep_packets_total{container=\"one\",netns=\"7\",verdict=\"local\"} 1\n"
		"sidestep_packets_total{container=\"two\",netns=\"7\",verdict=\"local\"} 2\n"
		"# HELP sidestep_metrics_series_dropped Series that are missing here because of "
		"the limit.\n"
		"# TYPE sidestep_metrics_series_dropped gauge\n"
		"sidestep_metrics_series_dropped 0\n");
}

static void test_openmetrics(void **state)
{
	struct metrics_set set = {0};
	_cleanup_free_ char *text = NULL;

	(void)state;
	metrics_add(&set, METRICS_SENT_BYTES, NULL, 12);
	text = print(&set, METRICS_OPENMETRICS);
	assert_non_null(strstr(text, "# TYPE sidestep_sent_bytes counter\n"
				     "# UNIT sidestep_sent_bytes bytes\n"
				     "sidestep_sent_bytes_total 12\n"));
	assert_string_equal(text + strlen(text) - 6, "# EOF\n");
	assert_int_equal(metrics_text_accepted("application/openmetrics-text;version=1.0.0,"
					       "text/plain;q=0.5"),
			 METRICS_OPENMETRICS);
	assert_int_equal(metrics_text_accepted("text/plain;version=0.0.4"), METRICS_TEXT);
	assert_int_equal(metrics_text_accepted(""), METRICS_TEXT);
}

/* A name that somebody else chose ends neither its value nor its line. */
static void test_labels_are_escaped(void **state)
{
	struct metrics_set set = {0};
	_cleanup_free_ char *text = NULL;

	(void)state;
	add_verdict(&set, "a\"} 1\n\\b\xff", "local", 1);
	text = print(&set, METRICS_TEXT);
	assert_non_null(strstr(text, "{container=\"a\\\"} 1?\\\\b?\",netns=\"7\","));
}

static void test_values(void **state)
{
	struct metrics_set set = {0};
	_cleanup_free_ char *text = NULL;

	(void)state;
	metrics_add(&set, METRICS_SENT_BYTES, NULL, 9007199254740991.0);
	metrics_add(&set, METRICS_RECEIVED_BYTES, NULL, 1e300);
	metrics_add(&set, METRICS_START_TIME, NULL, 0.25);
	text = print(&set, METRICS_TEXT);
	assert_non_null(strstr(text, "sidestep_sent_bytes_total 9007199254740991\n"));
	assert_non_null(strstr(text, "sidestep_received_bytes_total 1e+300\n"));
	assert_non_null(strstr(text, "sidestep_start_time_seconds 0.25\n"));
}

/* The buckets are cumulative, and each includes its bound. */
static void test_histogram(void **state)
{
	struct metrics_histogram histogram = {0};
	struct metrics_set set = {0};
	_cleanup_free_ char *text = NULL;

	(void)state;
	metrics_histogram_add(&histogram, 0);
	metrics_histogram_add(&histogram, 500);
	metrics_histogram_add(&histogram, 501);
	metrics_histogram_add(&histogram, 61000000);
	metrics_add_histogram(&set, METRICS_SYNC_LAG, &histogram);
	assert_int_equal(set.series, METRICS_HISTOGRAM_SERIES);
	text = print(&set, METRICS_TEXT);
	assert_non_null(strstr(text, "sidestep_sync_lag_seconds_bucket{le=\"0.0005\"} 2\n"
				     "sidestep_sync_lag_seconds_bucket{le=\"0.001\"} 3\n"));
	assert_non_null(strstr(text, "sidestep_sync_lag_seconds_bucket{le=\"1.0\"} 3\n"));
	assert_non_null(strstr(text, "sidestep_sync_lag_seconds_bucket{le=\"60.0\"} 3\n"
				     "sidestep_sync_lag_seconds_bucket{le=\"+Inf\"} 4\n"
				     "sidestep_sync_lag_seconds_sum 61.001001\n"
				     "sidestep_sync_lag_seconds_count 4\n"));
}

/* There are never more series, whatever is added, and the rest is counted. */
static void test_limit(void **state)
{
	struct metrics_histogram histogram = {0};
	struct metrics_set set = {0};
	_cleanup_free_ char *text = NULL;
	unsigned int i, lines = 0;
	const char *line;

	(void)state;
	for (i = 0; i < METRICS_SERIES_MAX - 5; i++)
		add_verdict(&set, "a", "local", i);
	metrics_add_histogram(&set, METRICS_SYNC_LAG, &histogram);
	for (i = 0; i < 100; i++)
		metrics_add(&set, METRICS_MAP_ENTRIES, (const char *[]) {"m"}, 1);
	text = print(&set, METRICS_TEXT);
	for (line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		lines += *line != '\0' && *line != '#';
	assert_int_equal(lines, METRICS_SERIES_MAX);
	assert_non_null(strstr(text, "sidestep_metrics_series_dropped 112\n"));
}

/* Every metric is described, and no name ends as its type's series do. */
static void test_families(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < METRICS_FAMILIES; i++) {
		const struct metrics_family *family = &metrics_families[i];
		const char *end = strrchr(family->name, '_');

		assert_int_equal(strncmp(family->name, "sidestep_", 9), 0);
		assert_non_null(family->help);
		assert_string_not_equal(end, "_total");
		if (family->unit)
			assert_string_equal(end + 1, family->unit);
		for (j = 0; j < i; j++)
			assert_string_not_equal(family->name, metrics_families[j].name);
	}
}

/* Packs the set, and clears it. Returns the size of the bytes, which the caller frees. */
static size_t pack(struct metrics_set *set, char **ret_bytes)
{
	size_t size;
	FILE *stream = open_memstream(ret_bytes, &size);

	assert_non_null(stream);
	metrics_pack(stream, set);
	assert_int_equal(fclose(stream), 0);
	metrics_set_clear(set);
	return size;
}

static bool unpack(char *bytes, size_t size, struct metrics_set *set)
{
	FILE *stream = fmemopen(bytes, size, "r");
	bool whole;

	assert_non_null(stream);
	whole = metrics_unpack(stream, set);
	assert_int_equal(fclose(stream), 0);
	return whole;
}

static void fill(struct metrics_set *set)
{
	struct metrics_histogram histogram = {0};
	unsigned int i;

	metrics_histogram_add(&histogram, 700);
	metrics_add_histogram(set, METRICS_SYNC_LAG, &histogram);
	add_verdict(set, "one \"two\"", "local", 1.5);
	add_verdict(set, NULL, "local", 2);
	for (i = 0; i < METRICS_SERIES_MAX; i++)
		metrics_add(set, METRICS_CONNECTIONS_OPEN, NULL, i);
}

static void test_a_packed_set_is_the_same(void **state)
{
	struct metrics_set set = {0}, copy = {0};
	_cleanup_free_ char *bytes = NULL, *text = NULL, *copied = NULL;
	size_t size;

	(void)state;
	fill(&set);
	size = pack(&set, &bytes);
	assert_true(unpack(bytes, size, &copy));
	copied = print(&copy, METRICS_TEXT);
	fill(&set);
	text = print(&set, METRICS_TEXT);
	assert_string_equal(copied, text);
}

static void test_a_cut_set_is_refused(void **state)
{
	struct metrics_set set = {0};
	_cleanup_free_ char *bytes = NULL;
	size_t size, cut;

	(void)state;
	add_verdict(&set, "one", "local", 1);
	add_verdict(&set, "two", "local", 2);
	size = pack(&set, &bytes);
	/* A text without its end is none of these: the agent's file ends with a NUL. */
	for (cut = 1; cut < size - sizeof("local"); cut++) {
		assert_false(unpack(bytes, cut, &set));
		metrics_set_clear(&set);
	}
	memset(bytes, 0xff, size);
	assert_false(unpack(bytes, size, &set));
	metrics_set_clear(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_families_are_grouped),
		cmocka_unit_test(test_openmetrics),
		cmocka_unit_test(test_labels_are_escaped),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_a_packed_set_is_the_same),
		cmocka_unit_test(test_a_cut_set_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
