// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_entries.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/util.h"

/* Returns the place where @id is or belongs. */
static size_t place_of(const struct docker_entries *entries, const char *id, bool *ret_found)
{
	size_t low = 0, high = entries->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(entries->items[middle].sidecar.id, id);

		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_found = false;
	return low;
}

struct docker_entry *docker_entries_find(const struct docker_entries *entries, const char *id)
{
	bool found;
	size_t place = place_of(entries, id, &found);

	return found ? &entries->items[place] : NULL;
}

static void release_one(struct docker_entry *entry)
{
	free(entry->sidecar.id);
	free(entry->sidecar.name);
	free(entry->sidecar.image);
	free(entry->sidecar.labels);
}

static bool is_idle(const struct docker_entry *entry)
{
	return entry->sidecar.pid == 0 && !entry->due && !entry->inspecting;
}

/* Makes room: forgets a container that does not run. Its next event adds it again. */
static void forget_one(struct docker_entries *entries)
{
	size_t i;

	for (i = 0; i < entries->count; i++) {
		if (!is_idle(&entries->items[i]))
			continue;
		release_one(&entries->items[i]);
		entries->count--;
		memmove(entries->items + i, entries->items + i + 1,
			(entries->count - i) * sizeof(*entries->items));
		return;
	}
}

struct docker_entry *docker_entries_add(struct docker_entries *entries, const char *id,
					char reason[DOCKER_REASON_MAX])
{
	_cleanup_free_ char *copy = NULL;
	struct docker_entry *items = docker_entries_find(entries, id);
	size_t place;
	bool found;

	if (items)
		return items;
	if (entries->count >= DOCKER_SIDECARS_MAX)
		forget_one(entries);
	if (entries->count >= DOCKER_SIDECARS_MAX) {
		(void)docker_refuse(-E2BIG, reason, "the limit of %d sidecars is passed",
				    DOCKER_SIDECARS_MAX);
		return NULL;
	}
	copy = strdup(id);
	items = copy ? reallocarray(entries->items, entries->count + 1, sizeof(*items)) : NULL;
	if (!items) {
		(void)docker_refuse(-ENOMEM, reason, "out of memory");
		return NULL;
	}
	entries->items = items;
	place = place_of(entries, id, &found);
	memmove(items + place + 1, items + place, (entries->count - place) * sizeof(*items));
	entries->count++;
	items[place] = (struct docker_entry) {
		.sidecar.id = TAKE_PTR(copy),
		.sidecar.unused_since_ms = (int64_t)clock_ms(),
		.due = true,
	};
	return &items[place];
}

void docker_entries_prune(struct docker_entries *entries)
{
	size_t kept = 0, i;

	for (i = 0; i < entries->count; i++) {
		struct docker_entry *entry = &entries->items[i];

		if (is_idle(entry) && (!entries->all || entry->gone || !entry->sidecar.name))
			release_one(entry);
		else
			entries->items[kept++] = *entry;
	}
	entries->count = kept;
}

bool docker_entries_unsettled(const struct docker_entries *entries)
{
	size_t i;

	for (i = 0; i < entries->count; i++)
		if (entries->items[i].due || entries->items[i].inspecting)
			return true;
	return false;
}

void docker_entries_release(struct docker_entries *entries)
{
	size_t i;

	for (i = 0; i < entries->count; i++)
		release_one(&entries->items[i]);
	free(entries->items);
}
