/* SPDX-License-Identifier: Apache-2.0 */
/* Tells how full the maps are, and what the programs have counted. Any thread may call this. */
#ifndef SIDESTEP_PROGRAMS_FILL_H
#define SIDESTEP_PROGRAMS_FILL_H

#include <stdint.h>

#include "programs/programs.h"
#include "sidestep.h"

/* Calls @visit with each map that may fill up, with its name, its entries and how many fit. */
void programs_fill_each(const struct programs *programs,
			void (*visit)(void *context, const char *map, uint32_t entries,
				      uint32_t capacity),
			void *context);

/* Sums a namespace's counters over all CPUs. Returns 0 or a negative errno. */
int programs_counters(const struct programs *programs, uint32_t netns,
		      uint64_t ret_sums[SIDESTEP_COUNTERS]);

/* Calls @visit with each namespace in the map, of the outer guard as well (SIDESTEP_OUTER). Those
 * that come or go meanwhile may be missed. */
void programs_namespaces_each(const struct programs *programs,
			      void (*visit)(void *context, uint32_t netns,
					    const struct sidestep_namespace *value),
			      void *context);

#endif
