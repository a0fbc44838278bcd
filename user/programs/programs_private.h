/* SPDX-License-Identifier: Apache-2.0 */
/* Between programs.c, attachment.c and programs_maps.c. */
#ifndef SIDESTEP_PROGRAMS_PRIVATE_H
#define SIDESTEP_PROGRAMS_PRIVATE_H

#include "programs/programs.h"

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

/* The programs of a kind, configured and not loaded: the caller's, to be closed. NULL with errno
 * set. */
struct bpf_object *programs_open(const struct programs_config *config);

/* Loads two objects that programs_open() made of the same configuration, with maps in common, on
 * two processors. Programs that only one of them is to load: bpf_program__set_autoload() before.
 * The threads that it takes have ended when it returns. 0 or negative errno. */
int programs_load_both(struct bpf_object *main, struct bpf_object *second);

struct programs {
	struct programs_config config;
	char *pin;
	int maps[PROGRAMS_MAPS];
	struct sidestep_generation *generation; /* the map's memory; NULL: not loaded */
	int programs[PROGRAMS];			/* -1: not of this kind */
};

/* After each change of the maps bypass4 and bypass6: the programs remember what they said. */
void programs_bypass_changed(const struct programs *programs);

#endif
