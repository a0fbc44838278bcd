/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the containers that docker_sidecars watches, ordered by id. Private to user/docker. */
#ifndef SIDESTEP_DOCKER_ENTRIES_H
#define SIDESTEP_DOCKER_ENTRIES_H

#include <stdbool.h>
#include <stddef.h>

#include "docker/docker_json.h"
#include "docker/docker_sidecar.h"

/* A container that is or may be reported. */
struct docker_entry {
	struct docker_sidecar sidecar; /* .name NULL: nothing is known yet */
	bool due;		       /* to be inspected, even if an inspection runs */
	bool inspecting;
	bool gone;   /* the engine has no such container */
	bool listed; /* in the list that is being applied */
	bool in_use; /* another container of that list shares its network namespace */
};

/* Zero-initialised: empty. */
struct docker_entries {
	struct docker_entry *items;
	size_t count;
	bool all; /* also those that do not run */
};

/* Returns the entry of @id or NULL. */
struct docker_entry *docker_entries_find(const struct docker_entries *entries, const char *id);

/* Finds the entry of @id or adds one that is due. Entries move in memory. Returns NULL with a text
 * in @reason, -ENOMEM or the limit. */
struct docker_entry *docker_entries_add(struct docker_entries *entries, const char *id,
					char reason[DOCKER_REASON_MAX]);

/* Removes the entries that are not to be reported, and are not being inspected. */
void docker_entries_prune(struct docker_entries *entries);

/* Is an inspection due, or does one run? */
bool docker_entries_unsettled(const struct docker_entries *entries);

void docker_entries_release(struct docker_entries *entries);

#endif
