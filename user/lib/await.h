/* SPDX-License-Identifier: Apache-2.0 */
/* Waits of a thread that somebody else may stop. */
#ifndef SIDESTEP_AWAIT_H
#define SIDESTEP_AWAIT_H

#include <stdint.h>

/*
 * Waits until one of @events (poll(2)), or an error, comes to @fd. Returns 0, -ECANCELED when
 * @stop_fd is readable, -ETIMEDOUT when clock_ms() has reached @deadline_ms, or another negative
 * errno. A negative descriptor is not waited for.
 */
int await(int fd, short events, int stop_fd, uint64_t deadline_ms);

#endif
