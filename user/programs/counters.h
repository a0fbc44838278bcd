/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the programs' counters, and names them as dumps and `sidestep status` do. */
#ifndef SIDESTEP_COUNTERS_H
#define SIDESTEP_COUNTERS_H

#include <stdint.h>

/* Indexed by enum sidestep_verdict, SIDESTEP_COUNTERS of them. */
extern const char *const counter_names[];

/* Sums a namespace's counters in the map @fd over all CPUs into @ret_sums[SIDESTEP_COUNTERS].
 * Returns 0 or a negative errno; -ENOENT: the namespace is not registered. */
int counters_read(int fd, uint32_t netns, uint64_t ret_sums[]);

/* Does the same for one CPU. */
int counters_read_cpu(int fd, uint32_t netns, unsigned int cpu, uint64_t ret_counters[]);

/* Adds a namespace's counters, all 0, unless the map has them. Returns 0 or a negative errno. */
int counters_prepare(int fd, uint32_t netns);

void counters_remove(int fd, uint32_t netns);

#endif
