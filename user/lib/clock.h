/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monotonic clock (clock_gettime(2), CLOCK_MONOTONIC) as a number. It counts from boot and
 * stands still while the machine sleeps.
 */
#ifndef SIDESTEP_CLOCK_H
#define SIDESTEP_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Returns the time in nanoseconds. */
static inline uint64_t clock_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Returns the time in milliseconds. */
static inline uint64_t clock_ms(void)
{
	return clock_ns() / 1000000;
}

#endif
