/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel side's counters: their names, as dumps and `sidestep status` show them, and sums. */
#ifndef SIDESTEP_COUNTERS_H
#define SIDESTEP_COUNTERS_H

#include <stdint.h>

/* Indexed by enum sidestep_verdict, SIDESTEP_COUNTERS of them. */
extern const char *const counter_names[];

/* Reads the map @fd: a namespace's sums over all CPUs into @ret_sums[SIDESTEP_COUNTERS]. Returns 0
 * or negative errno; -ENOENT: the namespace is not known. */
int counters_read(int fd, uint32_t netns, uint64_t ret_sums[]);

/* Makes a namespace's counters, all 0, where they are not there yet. 0 or negative errno. */
int counters_prepare(int fd, uint32_t netns);

void counters_remove(int fd, uint32_t netns);

#endif
