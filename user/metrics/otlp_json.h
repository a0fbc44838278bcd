/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes metrics and events as OTLP/HTTP requests in JSON
 * (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding). Numbers of 64 bits are
 * strings there.
 */
#ifndef SIDESTEP_OTLP_JSON_H
#define SIDESTEP_OTLP_JSON_H

#include <stdint.h>
#include <stdio.h>

#include "events/event.h"
#include "metrics/metrics_set.h"

/* The times of a set of metrics, ns since the Unix epoch. */
struct otlp_times {
	uint64_t start; /* of the counters */
	uint64_t now;
};

/* Writes a whole request of a finished set (ExportMetricsServiceRequest). */
void otlp_json_metrics(FILE *stream, const struct metrics_set *set, const struct otlp_times *times);

/* Writes an event as a log record: the event's JSON is its body, and the attributes are the fields
 * to search by. A request is a beginning, records with commas between them, and an end. */
void otlp_json_event(FILE *stream, const struct event *event);
void otlp_json_begin_logs(FILE *stream);
void otlp_json_end_logs(FILE *stream);

#endif
