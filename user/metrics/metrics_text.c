// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics_text.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

/* Integers up to 2^53 are printed with all their digits. */
#define EXACT_MAX 9007199254740992.0

static const char *const type_names[] = {
	[METRICS_COUNTER] = "counter",
	[METRICS_GAUGE] = "gauge",
	[METRICS_HISTOGRAM] = "histogram",
};

enum metrics_format metrics_text_accepted(const char *accept)
{
	/* Prometheus lists the formats that it prefers first, and takes any of them. */
	return strstr(accept, "application/openmetrics-text") ? METRICS_OPENMETRICS : METRICS_TEXT;
}

const char *metrics_text_type(enum metrics_format format)
{
	return format == METRICS_OPENMETRICS
		       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		       : "text/plain; version=0.0.4; charset=utf-8";
}

static void print_head(FILE *stream, const struct metrics_family *family,
		       enum metrics_format format)
{
	/* The older format has no name for a family but that of its series. */
	const char *suffix = format == METRICS_TEXT && family->type == METRICS_COUNTER ? "_total"
										       : "";

	(void)fprintf(stream, "# HELP %s%s %s\n", family->name, suffix, family->help);
	(void)fprintf(stream, "# TYPE %s%s %s\n", family->name, suffix, type_names[family->type]);
	if (format == METRICS_OPENMETRICS && family->unit)
		(void)fprintf(stream, "# UNIT %s %s\n", family->name, family->unit);
}

static void print_value(FILE *stream, double value)
{
	if (value >= -EXACT_MAX && value <= EXACT_MAX && value == (double)(int64_t)value)
		(void)fprintf(stream, " %.0f\n", value);
	else
		(void)fprintf(stream, " %.15g\n", value);
}

/* A label's value is UTF-8 with three escapes. Characters that are not printable become "?". */
static void print_label_value(FILE *stream, const char *value)
{
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '\\' || c == '"')
			(void)fprintf(stream, "\\%c", c);
		else
			(void)fputc(c < ' ' || c >= 0x7f ? '?' : c, stream);
	}
}

/* @le: the bound of a bucket, or NULL. */
static void print_labels(FILE *stream, const struct metrics_sample *sample, const char *le)
{
	const struct metrics_family *family = &metrics_families[sample->name];
	bool first = true;
	size_t i;

	for (i = 0; i < METRICS_LABELS_MAX; i++) {
		if (!sample->labels[i])
			continue;
		(void)fprintf(stream, "%c%s=\"", first ? '{' : ',', family->labels[i]);
		print_label_value(stream, sample->labels[i]);
		(void)fputc('"', stream);
		first = false;
	}
	if (le)
		(void)fprintf(stream, "%cle=\"%s\"", first ? '{' : ',', le);
	if (le || !first)
		(void)fputc('}', stream);
}

static void print_histogram(FILE *stream, const struct metrics_sample *sample)
{
	const struct metrics_family *family = &metrics_families[sample->name];
	uint64_t count = 0;
	char le[32];
	size_t i;

	for (i = 0; i <= METRICS_BOUNDS; i++) {
		count += sample->counts[i];
		/* OpenMetrics wants a point in each bound. */
		if (i == METRICS_BOUNDS)
			(void)snprintf(le, sizeof(le), "+Inf");
		else if (metrics_bounds_us[i] % 1000000 == 0)
			(void)snprintf(le, sizeof(le), "%" PRIu64 ".0",
				       metrics_bounds_us[i] / 1000000);
		else
			(void)snprintf(le, sizeof(le), "%g", (double)metrics_bounds_us[i] / 1e6);
		(void)fprintf(stream, "%s_bucket", family->name);
		print_labels(stream, sample, le);
		(void)fprintf(stream, " %" PRIu64 "\n", count);
	}
	(void)fprintf(stream, "%s_sum", family->name);
	print_labels(stream, sample, NULL);
	print_value(stream, sample->value);
	(void)fprintf(stream, "%s_count", family->name);
	print_labels(stream, sample, NULL);
	(void)fprintf(stream, " %" PRIu64 "\n", count);
}

static void print_sample(FILE *stream, const struct metrics_sample *sample)
{
	const struct metrics_family *family = &metrics_families[sample->name];

	if (family->type == METRICS_HISTOGRAM) {
		print_histogram(stream, sample);
		return;
	}
	(void)fprintf(stream, "%s%s", family->name,
		      family->type == METRICS_COUNTER ? "_total" : "");
	print_labels(stream, sample, NULL);
	print_value(stream, sample->value);
}

void metrics_text_print(FILE *stream, const struct metrics_set *set, enum metrics_format format)
{
	size_t i;

	for (i = 0; i < set->count; i++) {
		if (i == 0 || set->samples[i].name != set->samples[i - 1].name)
			print_head(stream, &metrics_families[set->samples[i].name], format);
		print_sample(stream, &set->samples[i]);
	}
	if (format == METRICS_OPENMETRICS)
		(void)fprintf(stream, "# EOF\n");
}
