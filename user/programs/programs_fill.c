// SPDX-License-Identifier: Apache-2.0
#include "programs/programs_fill.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/util.h"
#include "programs/counters.h"
#include "programs/programs_private.h"

/* Entries of one system call. A bucket of a hash map must fit. */
#define BATCH 4096

/* Large enough for a key of any of these maps. */
union map_key {
	struct sidestep_flow_key flow;
	struct sidestep_source_prefix6 prefix;
};

/* Counts a hash map's entries. A whole bucket comes at once, with its lock held, and nothing is
 * marked as used (htab_map_lookup_batch()). Returns 0 or a negative errno. */
static int count_hash(int fd, const struct bpf_map_info *info, uint32_t *ret_entries)
{
	_cleanup_free_ void *keys = malloc((size_t)BATCH * info->key_size);
	_cleanup_free_ void *values = malloc((size_t)BATCH * info->value_size);
	uint32_t position, entries = 0, count;
	void *from = NULL;
	int error = 0;

	if (!keys || !values)
		return -ENOMEM;
	while (error == 0) {
		count = BATCH;
		error = bpf_map_lookup_batch(fd, from, &position, keys, values, &count, NULL);
		/* -ENOENT: this was the last batch. */
		if (error == 0 || error == -ENOENT)
			entries += count;
		from = &position;
	}
	*ret_entries = entries;
	return error == -ENOENT ? 0 : error;
}

/* Counts a trie's entries, of which there are at most SIDESTEP_MAX_PREFIXES. An entry that goes
 * meanwhile makes the kernel begin again, so the steps are limited. */
static uint32_t count_trie(int fd, uint32_t limit)
{
	union map_key key, next;
	void *previous = NULL;
	uint32_t entries = 0;

	while (entries < limit && bpf_map_get_next_key(fd, previous, &next) == 0) {
		key = next;
		previous = &key;
		entries++;
	}
	return entries;
}

void programs_fill_each(const struct programs *programs,
			void (*visit)(void *context, const char *map, uint32_t entries,
				      uint32_t capacity),
			void *context)
{
	static const struct {
		enum programs_map map;
		const char *name;
	} maps[] = {
		{MAP_BYPASS4, "bypass4"},
		{MAP_BYPASS6, "bypass6"},
		{MAP_ROUTE4, "route4"},
		{MAP_ROUTE6, "route6"},
		{MAP_SOURCE_ROUTE4, "source_route4"},
		{MAP_SOURCE_ROUTE6, "source_route6"},
		{MAP_FLOWS, "flows"},
		{MAP_INBOUND, "inbound"},
		{MAP_NAMESPACES, "namespaces"},
		{MAP_OUTER, "outer"},
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(maps); i++) {
		int fd = programs->maps[maps[i].map];
		struct bpf_map_info info = {0};
		uint32_t size = sizeof(info), entries = 0;

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
			continue;
		if (info.type == BPF_MAP_TYPE_LPM_TRIE)
			entries = count_trie(fd, info.max_entries);
		else if (count_hash(fd, &info, &entries) < 0)
			continue;
		visit(context, maps[i].name, entries, info.max_entries);
	}
}

int programs_counters(const struct programs *programs, uint32_t netns,
		      uint64_t ret_sums[SIDESTEP_COUNTERS])
{
	return counters_read(programs->maps[MAP_COUNTERS], netns, ret_sums);
}

void programs_namespaces_each(const struct programs *programs,
			      void (*visit)(void *context, uint32_t netns,
					    const struct sidestep_namespace *value),
			      void *context)
{
	uint32_t netns, next, *previous = NULL;
	struct sidestep_namespace value;
	int fd = programs->maps[MAP_NAMESPACES];
	unsigned int steps;

	for (steps = 0; steps < SIDESTEP_MAX_NAMESPACES * 2; steps++) {
		if (bpf_map_get_next_key(fd, previous, &next) < 0)
			return;
		netns = next;
		previous = &netns;
		if (bpf_map_lookup_elem(fd, &netns, &value) == 0)
			visit(context, netns, &value);
	}
}
