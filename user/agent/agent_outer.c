// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_outer.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/link_scope.h"
#include "lib/log.h"
#include "programs/programs_maps.h"

/* The sources that the guard takes from the host's devices, and from a sidecar. */
#define OF_HOST	   (SIDESTEP_FROM_CONNECTED | SIDESTEP_FROM_HOST)
#define OF_SIDECAR (SIDESTEP_FROM_OPTION | SIDESTEP_FROM_DOCKER | SIDESTEP_FROM_GATEWAY)

static struct agent_outer_prefix *find(const struct agent_outer *outer, const struct prefix *prefix)
{
	struct agent_outer_prefix *prefixes = outer->prefixes.items;
	size_t i;

	for (i = 0; i < outer->prefixes.count; i++)
		if (prefix_equal(&prefixes[i].prefix, prefix))
			return &prefixes[i];
	return NULL;
}

/* Takes an entry out of the list; the last one moves to its place. */
static void drop(struct agent_outer *outer, struct agent_outer_prefix *entry)
{
	struct agent_outer_prefix *prefixes = outer->prefixes.items;

	*entry = prefixes[--outer->prefixes.count];
}

/* Writes the sources of a prefix to the map; 0 deletes its entry. */
static int write_map(const struct programs *programs, uint32_t netns, const struct prefix *prefix,
		     uint32_t sources)
{
	const struct sidestep_bypass value = {.sources = sources};

	return sources ? programs_bypass_set(programs, netns | SIDESTEP_OUTER, prefix, &value)
		       : programs_bypass_remove(programs, netns | SIDESTEP_OUTER, prefix);
}

/* Replaces the sources of a prefix that are in @mask, in the map and in the list. After a failure
 * the list says what is in the map, so that the next call tries again. */
static int put(struct agent_outer *outer, const struct programs *programs, uint32_t netns,
	       const struct prefix *prefix, uint32_t mask, uint32_t sources)
{
	struct agent_outer_prefix *entry = find(outer, prefix);
	uint32_t old = entry ? entry->sources : 0, now = (old & ~mask) | (sources & mask);
	const struct agent_outer_prefix fresh = {.prefix = *prefix};
	int error;

	if (now == old)
		return 0;
	if (!entry) {
		if (array_append(&outer->prefixes, &fresh) < 0)
			return -ENOMEM;
		entry = find(outer, prefix);
	}
	error = write_map(programs, netns, prefix, now);
	if (error == 0)
		entry->sources = now;
	if (!entry->sources)
		drop(outer, entry);
	return error;
}

static void load_one(void *context, const struct prefix *prefix,
		     const struct sidestep_bypass *value)
{
	const struct agent_outer_prefix entry = {.prefix = *prefix, .sources = value->sources};
	struct agent_outer *outer = context;

	if (array_append(&outer->prefixes, &entry) < 0)
		log_error("no memory for a bypassed subnet of an outer guard: it stays bypassed");
}

void agent_outer_load(struct agent_outer *outer, const struct programs *programs, uint32_t netns)
{
	programs_bypass_each(programs, netns | SIDESTEP_OUTER, load_one, outer);
}

int agent_outer_describe(struct agent_outer *outer, const struct programs *programs, uint32_t netns,
			 const struct sidestep_namespace *value)
{
	struct sidestep_namespace own = *value;
	struct prefix prefix;
	int error;
	size_t i;

	own.mode = SIDESTEP_MODE_OUTER;
	error = programs_namespace_set(programs, netns | SIDESTEP_OUTER, &own);
	for (i = 0; i < LINK_SCOPE_PREFIXES && error == 0; i++) {
		error = prefix_parse(link_scope_prefixes[i], &prefix);
		if (error == 0)
			error = put(outer, programs, netns, &prefix, SIDESTEP_FROM_BUILTIN,
				    SIDESTEP_FROM_BUILTIN);
	}
	return error;
}

int agent_outer_sidecar(struct agent_outer *outer, const struct programs *programs, uint32_t netns,
			const struct prefix *prefix, uint32_t sources)
{
	return put(outer, programs, netns, prefix, OF_SIDECAR, sources);
}

/* Returns the sources of all entries with this prefix. */
static uint32_t sources_of(const struct agent_outer_prefix *entries, size_t count,
			   const struct prefix *prefix)
{
	uint32_t sources = 0;
	size_t i;

	for (i = 0; i < count; i++)
		if (prefix_equal(&entries[i].prefix, prefix))
			sources |= entries[i].sources;
	return sources;
}

int agent_outer_host(struct agent_outer *outer, const struct programs *programs, uint32_t netns,
		     const struct agent_outer_prefix *entries, size_t count)
{
	int error = 0;
	size_t i;

	/* Backwards, because a removed entry is replaced by the last one. */
	for (i = outer->prefixes.count; i > 0 && error == 0; i--) {
		const struct agent_outer_prefix *prefixes = outer->prefixes.items;
		const struct prefix prefix = prefixes[i - 1].prefix;

		error = put(outer, programs, netns, &prefix, OF_HOST,
			    sources_of(entries, count, &prefix));
	}
	for (i = 0; i < count && error == 0; i++)
		error = put(outer, programs, netns, &entries[i].prefix, OF_HOST,
			    sources_of(entries, count, &entries[i].prefix));
	return error;
}

void agent_outer_remove(struct agent_outer *outer, const struct programs *programs, uint32_t netns)
{
	programs_namespace_remove(programs, netns | SIDESTEP_OUTER);
	agent_outer_release(outer);
}

void agent_outer_release(struct agent_outer *outer)
{
	free(outer->prefixes.items);
	*outer = (struct agent_outer)AGENT_OUTER_EMPTY;
}
