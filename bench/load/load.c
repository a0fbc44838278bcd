// SPDX-License-Identifier: Apache-2.0
#include "load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

void die(const char *format, ...)
{
	int error = errno;
	va_list arguments;

	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
	exit(1);
}

void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* Below 2 * STEPS each value has a bucket; above, the highest 8 bits choose one. */
static unsigned int bucket_of(uint64_t value)
{
	unsigned int shift, bucket;

	if (value < 2ULL * HISTOGRAM_STEPS)
		return (unsigned int)value;
	shift = 63 - (unsigned int)__builtin_clzll(value) - 7;
	bucket = shift * HISTOGRAM_STEPS + (unsigned int)(value >> shift);
	return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
	histogram->buckets[bucket_of(value)]++;
	histogram->total++;
}

static double bucket_value(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < 2 * HISTOGRAM_STEPS)
		return (double)bucket + 0.5;
	shift = bucket / HISTOGRAM_STEPS - 1;
	return ((double)(bucket - shift * HISTOGRAM_STEPS) + 0.5) * (double)(1ULL << shift);
}

double histogram_us(const struct histogram *histogram, double fraction)
{
	uint64_t wanted = (uint64_t)((double)histogram->total * fraction), seen = 0;
	unsigned int i;

	if (histogram->total == 0)
		return 0;
	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen > wanted || seen == histogram->total)
			return bucket_value(i) / 1e3;
	}
	return 0;
}
