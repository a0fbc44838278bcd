/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prints metrics for a scraper, in Prometheus' text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/) or in OpenMetrics 1.0.0.
 */
#ifndef SIDESTEP_METRICS_TEXT_H
#define SIDESTEP_METRICS_TEXT_H

#include <stdio.h>

#include "metrics/metrics_set.h"

enum metrics_format {
	METRICS_TEXT,
	METRICS_OPENMETRICS,
};

/* Returns the format that a request's Accept header asks for; "": none came. */
enum metrics_format metrics_text_accepted(const char *accept);

/* Returns the value of Content-Type. */
const char *metrics_text_type(enum metrics_format format);

/* Prints a finished set. */
void metrics_text_print(FILE *stream, const struct metrics_set *set, enum metrics_format format);

#endif
