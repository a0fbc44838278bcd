// SPDX-License-Identifier: Apache-2.0
#include "metrics/otlp_json.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "events/event_json.h"
#include "lib/json_text.h"
#include "lib/util.h"

/* The values of AggregationTemporality and SeverityNumber that are used
 * (opentelemetry/proto/metrics/v1/metrics.proto, logs/v1/logs.proto). */
#define CUMULATIVE    2
#define SEVERITY_INFO 9
#define SEVERITY_WARN 13

/* Both kinds of requests begin with the same resource. */
static void begin(FILE *stream, const char *resources, const char *scopes)
{
	(void)fprintf(stream,
		      "{\"%s\":[{\"resource\":{\"attributes\":["
		      "{\"key\":\"service.name\",\"value\":{\"stringValue\":\"sidestep\"}},"
		      "{\"key\":\"service.version\",\"value\":{\"stringValue\":\"%s\"}}]},"
		      "\"%s\":[{\"scope\":{\"name\":\"sidestep\"},",
		      resources, SIDESTEP_VERSION, scopes);
}

static void put_string(FILE *stream, const char *text)
{
	_cleanup_free_ char *json = malloc(strlen(text) * JSON_TEXT_ESCAPED + 2);

	if (json)
		(void)fwrite(json, 1, json_text_write(text, json), stream);
	else
		(void)fputs("\"\"", stream);
}

static void put_attribute(FILE *stream, const char *key, const char *value, bool *first)
{
	(void)fprintf(stream, "%s{\"key\":\"%s\",\"value\":{\"stringValue\":", *first ? "" : ",",
		      key);
	put_string(stream, value);
	(void)fputs("}}", stream);
	*first = false;
}

static void put_attributes(FILE *stream, const struct metrics_sample *sample)
{
	const struct metrics_family *family = &metrics_families[sample->name];
	bool first = true;
	size_t i;

	(void)fputs("\"attributes\":[", stream);
	for (i = 0; i < METRICS_LABELS_MAX; i++)
		if (sample->labels[i])
			put_attribute(stream, family->labels[i], sample->labels[i], &first);
	(void)fputc(']', stream);
}

static void put_buckets(FILE *stream, const struct metrics_sample *sample)
{
	uint64_t count = 0;
	size_t i;

	(void)fputs(",\"bucketCounts\":[", stream);
	for (i = 0; i <= METRICS_BOUNDS; i++) {
		count += sample->counts[i];
		(void)fprintf(stream, "%s\"%" PRIu64 "\"", i ? "," : "", sample->counts[i]);
	}
	(void)fputs("],\"explicitBounds\":[", stream);
	for (i = 0; i < METRICS_BOUNDS; i++)
		(void)fprintf(stream, "%s%g", i ? "," : "", (double)metrics_bounds_us[i] / 1e6);
	(void)fprintf(stream, "],\"count\":\"%" PRIu64 "\",\"sum\":%.15g", count, sample->value);
}

static void put_point(FILE *stream, const struct metrics_sample *sample,
		      const struct otlp_times *times)
{
	enum metrics_type type = metrics_families[sample->name].type;

	(void)fputc('{', stream);
	put_attributes(stream, sample);
	if (type != METRICS_GAUGE)
		(void)fprintf(stream, ",\"startTimeUnixNano\":\"%" PRIu64 "\"", times->start);
	(void)fprintf(stream, ",\"timeUnixNano\":\"%" PRIu64 "\"", times->now);
	if (type == METRICS_HISTOGRAM)
		put_buckets(stream, sample);
	else
		(void)fprintf(stream, ",\"asDouble\":%.15g", sample->value);
	(void)fputc('}', stream);
}

/* OpenTelemetry names units by UCUM. */
static const char *unit_of(const struct metrics_family *family)
{
	if (!family->unit)
		return "1";
	return strcmp(family->unit, "seconds") == 0 ? "s" : "By";
}

static void begin_family(FILE *stream, const struct metrics_family *family)
{
	static const char *const kinds[] = {
		[METRICS_COUNTER] = "sum",
		[METRICS_GAUGE] = "gauge",
		[METRICS_HISTOGRAM] = "histogram",
	};

	(void)fprintf(stream, "{\"name\":\"%s\",\"unit\":\"%s\",\"description\":", family->name,
		      unit_of(family));
	put_string(stream, family->help);
	(void)fprintf(stream, ",\"%s\":{", kinds[family->type]);
	if (family->type != METRICS_GAUGE)
		(void)fprintf(stream, "\"aggregationTemporality\":%d,", CUMULATIVE);
	if (family->type == METRICS_COUNTER)
		(void)fputs("\"isMonotonic\":true,", stream);
	(void)fputs("\"dataPoints\":[", stream);
}

void otlp_json_metrics(FILE *stream, const struct metrics_set *set, const struct otlp_times *times)
{
	size_t i;

	begin(stream, "resourceMetrics", "scopeMetrics");
	(void)fputs("\"metrics\":[", stream);
	for (i = 0; i < set->count; i++) {
		const struct metrics_sample *sample = &set->samples[i];

		if (i > 0 && sample->name == sample[-1].name) {
			(void)fputc(',', stream);
		} else {
			(void)fputs(i > 0 ? "]}}," : "", stream);
			begin_family(stream, &metrics_families[sample->name]);
		}
		put_point(stream, sample, times);
	}
	(void)fputs(set->count > 0 ? "]}}]}]}]}" : "]}]}]}", stream);
}

/* Texts of events are bounded, and the line is far smaller than its limit as a rule. */
static void put_body(FILE *stream, const struct event *event)
{
	_cleanup_free_ char *line = malloc(EVENT_JSON_MAX);
	size_t size = line ? event_json_write(event, line) : 0;

	/* Its newline becomes its end. */
	if (size > 0)
		line[size - 1] = '\0';
	(void)fputs("\"body\":{\"stringValue\":", stream);
	put_string(stream, size > 0 ? line : "");
	(void)fputc('}', stream);
}

void otlp_json_event(FILE *stream, const struct event *event)
{
	bool failed = event->text[EVENT_MESSAGE] != NULL, first = true;
	char status[8];

	(void)fprintf(stream,
		      "{\"timeUnixNano\":\"%" PRIu64 "\",\"severityNumber\":%d,"
		      "\"severityText\":\"%s\",",
		      event->time_us * 1000, failed ? SEVERITY_WARN : SEVERITY_INFO,
		      failed ? "WARN" : "INFO");
	put_body(stream, event);
	(void)fputs(",\"attributes\":[", stream);
	put_attribute(stream, "event.type", event_type_names[event->type], &first);
	if (event->text[EVENT_REASON])
		put_attribute(stream, "event.reason", event->text[EVENT_REASON], &first);
	if (event->end != EVENT_END_NONE)
		put_attribute(stream, "event.end", event_end_names[event->end], &first);
	if (event->text[EVENT_NAME])
		put_attribute(stream, "server.address", event->text[EVENT_NAME], &first);
	if (event->text[EVENT_CONTAINER_NAME])
		put_attribute(stream, "container.name", event->text[EVENT_CONTAINER_NAME], &first);
	if (event->text[EVENT_COMM])
		put_attribute(stream, "process.command", event->text[EVENT_COMM], &first);
	if (event->gateway_status > 0) {
		(void)snprintf(status, sizeof(status), "%u", event->gateway_status);
		put_attribute(stream, "gateway.status", status, &first);
	}
	(void)fputs("]}", stream);
}

void otlp_json_begin_logs(FILE *stream)
{
	begin(stream, "resourceLogs", "scopeLogs");
	(void)fputs("\"logRecords\":[", stream);
}

void otlp_json_end_logs(FILE *stream)
{
	(void)fputs("]}]}]}", stream);
}
