/* SPDX-License-Identifier: Apache-2.0 */
/* Shows struct programs to the files of user/programs and to the unit tests. */
#ifndef SIDESTEP_PROGRAMS_PRIVATE_H
#define SIDESTEP_PROGRAMS_PRIVATE_H

#include "programs/programs.h"
#include "sidestep.h"

enum programs_map {
	MAP_BYPASS4,
	MAP_BYPASS6,
	MAP_ROUTE4,
	MAP_ROUTE6,
	MAP_SOURCE_ROUTE4,
	MAP_SOURCE_ROUTE6,
	MAP_FLOWS,
	MAP_INBOUND,
	MAP_OPENERS,
	MAP_DENIALS,
	MAP_STARTERS,
	MAP_OWNERS,
	MAP_LISTENERS,
	MAP_COUNTERS,
	MAP_INFO,
	MAP_NAMESPACES,
	MAP_ARRIVALS,
	MAP_GENERATION,
	MAP_OUTER,
	PROGRAMS_MAPS,
};

/* The name of a map as bpftool shows it. */
const char *programs_map_name(enum programs_map map);

struct bpf_object;
struct programs_loading;

struct programs {
	struct programs_config config;
	char *pin;
	int maps[PROGRAMS_MAPS];		/* -1: not of this kind */
	struct sidestep_generation *generation; /* the map's memory; NULL: not loaded */
	const struct sidestep_opener *openers;	/* likewise; NULL: the map is a hash */
	int programs[PROGRAMS];			/* -1: not of this kind */
	struct programs_loading *loading;	/* NULL: there is nothing to wait for any more */
	int later_error;			/* of programs_await() */
};

/* Invalidates the answers of `bypass4` and `bypass6` that the programs have cached. */
static inline void programs_bypass_changed(const struct programs *programs)
{
	(void)__atomic_add_fetch(&programs->generation->bypass, 1, __ATOMIC_SEQ_CST);
}

/* Maps the memory of `generation` and `openers`, which stays until the other call. Returns 0 or a
 * negative errno, logged. */
int programs_memory_map(struct programs *programs);
/* Likewise after a failure. */
void programs_memory_unmap(struct programs *programs);

/* Opens and configures the programs of a kind without loading them. The caller closes the object.
 * Returns NULL with errno set. */
struct bpf_object *programs_open(const struct programs_config *config);

#endif
