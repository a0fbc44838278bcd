/* SPDX-License-Identifier: Apache-2.0 */
/* Shows struct programs to programs.c, programs_attach.c, programs_maps.c and the unit tests. */
#ifndef SIDESTEP_PROGRAMS_PRIVATE_H
#define SIDESTEP_PROGRAMS_PRIVATE_H

#include "programs/programs.h"
#include "sidestep.h"

enum programs_map {
	MAP_BYPASS4,
	MAP_BYPASS6,
	MAP_ROUTE4,
	MAP_ROUTE6,
	MAP_FLOWS,
	MAP_INBOUND,
	MAP_OWNERS,
	MAP_LISTENERS,
	MAP_COUNTERS,
	MAP_INFO,
	MAP_NAMESPACES,
	MAP_ARRIVALS,
	MAP_GENERATION,
	PROGRAMS_MAPS,
};

struct bpf_object;

struct programs {
	struct programs_config config;
	char *pin;
	int maps[PROGRAMS_MAPS];
	struct sidestep_generation *generation; /* the map's memory; NULL: not loaded */
	int programs[PROGRAMS];			/* -1: not of this kind */
};

/* Opens and configures the programs of a kind without loading them. The caller closes the object.
 * Returns NULL with errno set. */
struct bpf_object *programs_open(const struct programs_config *config);

#endif
