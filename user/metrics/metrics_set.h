/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The values of all metrics at one moment. It is filled for each scrape anew, within a limit of
 * series, and then printed (metrics_text.h).
 *
 *	struct metrics_set set = {0};
 *
 *	metrics_add(&set, METRICS_PACKETS, (const char *[]) {NULL, NULL, "steer_tcp"}, 12);
 *	...
 *	metrics_set_clear(&set);
 */
#ifndef SIDESTEP_METRICS_SET_H
#define SIDESTEP_METRICS_SET_H

#include <stddef.h>
#include <stdint.h>

#include "metrics/metrics_families.h"
#include "metrics/metrics_histogram.h"

/* Most series of one scrape. A histogram is one for each bucket, and two more. */
#define METRICS_SERIES_MAX	 2000
#define METRICS_HISTOGRAM_SERIES (METRICS_BOUNDS + 3)

struct metrics_sample {
	enum metrics_name name;
	char *labels[METRICS_LABELS_MAX]; /* in the family's order; NULL: without that label */
	double value;
	uint64_t counts[METRICS_BOUNDS + 1]; /* of a histogram, whose sum is the value */
};

/* Zero-initialised: empty. */
struct metrics_set {
	struct metrics_sample *samples; /* in the order of enum metrics_name */
	size_t count, capacity;
	size_t series, dropped; /* dropped: beyond the limit, or without memory */
};

/* Adds a series. @labels: a value for each of the family's labels, copied; NULL: it has none. */
void metrics_add(struct metrics_set *set, enum metrics_name name, const char *const *labels,
		 double value);

/* Adds the fill of a map. @set: a struct metrics_set, because it is a callback of datapaths. */
void metrics_add_map(void *set, const char *map, uint32_t entries, uint32_t capacity);

/* Adds a histogram as it is now. */
void metrics_add_histogram(struct metrics_set *set, enum metrics_name name,
			   struct metrics_histogram *histogram);

/* Sorts the samples by their families, each in the order of its additions, and adds the number of
 * those that were dropped. Nothing is added afterwards. */
void metrics_set_finish(struct metrics_set *set);

/* Frees the samples, and leaves the set empty. */
void metrics_set_clear(struct metrics_set *set);

#endif
