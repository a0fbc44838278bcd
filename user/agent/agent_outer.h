/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the map entries of a namespace's outer guard (SIDESTEP_OUTER): its description, and the
 * subnets that it bypasses. None of them comes from the namespace's own addresses and routes.
 */
#ifndef SIDESTEP_AGENT_OUTER_H
#define SIDESTEP_AGENT_OUTER_H

#include <stddef.h>
#include <stdint.h>

#include "lib/address.h"
#include "lib/array.h"
#include "programs/programs.h"
#include "sidestep.h"

struct agent_outer_prefix {
	struct prefix prefix;
	uint32_t sources; /* enum sidestep_bypass_source */
};

struct agent_outer {
	struct array prefixes; /* struct agent_outer_prefix: the bypassed ones */
};

#define AGENT_OUTER_EMPTY                                                                          \
	{                                                                                          \
		.prefixes.size = sizeof(struct agent_outer_prefix)                                 \
	}

/* Takes over the entries of an earlier agent, which the map still has. */
void agent_outer_load(struct agent_outer *outer, const struct programs *programs, uint32_t netns);

/* Describes the guard of namespace @netns as the sidecar describes the namespace (@value), and
 * bypasses the link's own destinations. Returns 0 or a negative errno. */
int agent_outer_describe(struct agent_outer *outer, const struct programs *programs, uint32_t netns,
			 const struct sidestep_namespace *value);

/* Takes over from a sidecar's bypass what the application cannot have made: options, Docker's
 * networks, the gateway. @sources: 0 removes it. Returns 0 or a negative errno. */
int agent_outer_sidecar(struct agent_outer *outer, const struct programs *programs, uint32_t netns,
			const struct prefix *prefix, uint32_t sources);

/* Bypasses exactly @entries of the host's devices that lead into the namespace: their subnets
 * (SIDESTEP_FROM_CONNECTED) and addresses (SIDESTEP_FROM_HOST). Returns 0 or a negative errno. */
int agent_outer_host(struct agent_outer *outer, const struct programs *programs, uint32_t netns,
		     const struct agent_outer_prefix *entries, size_t count);

/* Deletes all entries. */
void agent_outer_remove(struct agent_outer *outer, const struct programs *programs, uint32_t netns);

/* Frees the memory. The entries stay. */
void agent_outer_release(struct agent_outer *outer);

#endif
