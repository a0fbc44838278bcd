// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics_histogram.h"

#include <stddef.h>

const uint64_t metrics_bounds_us[METRICS_BOUNDS] = {
	500,	1000,	2500,	 5000,	  10000,    25000,    50000,
	100000, 250000, 1000000, 5000000, 15000000, 60000000,
};

void metrics_histogram_add(struct metrics_histogram *histogram, uint64_t duration_us)
{
	size_t i = 0;

	/* A bucket includes its bound. */
	while (i < METRICS_BOUNDS && duration_us > metrics_bounds_us[i])
		i++;
	(void)atomic_fetch_add_explicit(&histogram->counts[i], 1, memory_order_relaxed);
	(void)atomic_fetch_add_explicit(&histogram->sum_us, duration_us, memory_order_relaxed);
}
