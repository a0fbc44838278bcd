// SPDX-License-Identifier: Apache-2.0
/* Maps the memory of BPF maps that are read or written without a system call. */
#include <errno.h>
#include <sys/mman.h>

#include "lib/log.h"
#include "programs/programs_private.h"

#define OPENERS_SIZE (SIDESTEP_OPENER_SLOTS * sizeof(struct sidestep_opener))

/* Maps `generation` into memory. Programs of other loads may have cached entries of the bypass
 * maps, which are invalid from here on. */
static int map_generation(struct programs *programs)
{
	void *memory = mmap(NULL, sizeof(*programs->generation), PROT_READ | PROT_WRITE, MAP_SHARED,
			    programs->maps[MAP_GENERATION], 0);

	if (memory == MAP_FAILED)
		return log_errno(-errno, "cannot map the BPF map generation");
	programs->generation = memory;
	programs_bypass_changed(programs);
	return 0;
}

/* Maps `openers` into memory, so that a lookup is no system call. */
static int map_openers(struct programs *programs)
{
	void *memory;

	if (programs->config.kind == PROGRAMS_SHARED)
		return 0;
	memory = mmap(NULL, OPENERS_SIZE, PROT_READ, MAP_SHARED, programs->maps[MAP_OPENERS], 0);
	if (memory == MAP_FAILED)
		return log_errno(-errno, "cannot map the BPF map openers");
	programs->openers = memory;
	return 0;
}

int programs_memory_map(struct programs *programs)
{
	int error = map_generation(programs);

	return error < 0 ? error : map_openers(programs);
}

void programs_memory_unmap(struct programs *programs)
{
	if (programs->generation)
		(void)munmap(programs->generation, sizeof(*programs->generation));
	if (programs->openers)
		(void)munmap((void *)programs->openers, OPENERS_SIZE);
}
