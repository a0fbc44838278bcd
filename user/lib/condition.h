/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions of threads with a time limit on the monotonic clock, which nobody sets. */
#ifndef SIDESTEP_CONDITION_H
#define SIDESTEP_CONDITION_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#include "lib/clock.h"

/* With glibc it cannot fail. */
static inline void condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;

	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(condition, &attributes);
	(void)pthread_condattr_destroy(&attributes);
}

/* Waits with the lock held, until @deadline_ms at the latest (clock_ms()). Returns 0, possibly
 * without cause, or ETIMEDOUT. */
static inline int condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock,
				       uint64_t deadline_ms)
{
	const struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
				       .tv_nsec = (long)(deadline_ms % 1000) * 1000000};

	return pthread_cond_timedwait(condition, lock, &until);
}

#endif
