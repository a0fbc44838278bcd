/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the kernel side's counters, as dumps and `sidestep status` show them. */
#ifndef SIDESTEP_COUNTERS_H
#define SIDESTEP_COUNTERS_H

#include <stdint.h>

/* Indexed by enum sidestep_verdict, SIDESTEP_COUNTERS of them. */
extern const char *const counter_names[];

/* Reads the map @fd: sums over all CPUs into @ret_sums[SIDESTEP_COUNTERS]. 0 or negative errno. */
int counters_read(int fd, uint64_t ret_sums[]);

/* Zeroes all and writes the names. 0 or negative errno. */
int counters_reset(int fd);

#endif
