/* SPDX-License-Identifier: Apache-2.0 */
/* A histogram of durations with fixed buckets. Any thread may add to it, and no thread waits. */
#ifndef SIDESTEP_METRICS_HISTOGRAM_H
#define SIDESTEP_METRICS_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

/* The upper bounds in microseconds: 0.5 ms to 60 s. */
#define METRICS_BOUNDS 13
extern const uint64_t metrics_bounds_us[METRICS_BOUNDS];

/* Zero-initialised: empty. */
struct metrics_histogram {
	_Atomic uint64_t counts[METRICS_BOUNDS + 1]; /* not cumulative; the last is above all */
	_Atomic uint64_t sum_us;
};

void metrics_histogram_add(struct metrics_histogram *histogram, uint64_t duration_us);

#endif
