/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps the names and labels of containers that are no sidecars, for people. Private to
 * user/docker. */
#ifndef SIDESTEP_DOCKER_NAMES_H
#define SIDESTEP_DOCKER_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "docker/docker_sidecars_json.h"

struct docker_name {
	char *id, *name;
	char *labels; /* docker_labels.h; NULL: not known yet */
	bool listed;  /* in the list that is being applied */
};

/* Zero-initialised: empty. */
struct docker_names {
	struct docker_name *items;
	size_t count;
};

/* Adds a container, or changes what is known of it. Returns 1 if that is news, 0 if not, or
 * -ENOMEM. One beyond DOCKER_SIDECARS_MAX is left out. */
int docker_names_add(struct docker_names *names, const struct docker_facts *facts);

/* Begins a new list. The end forgets the names that were not added since, and tells whether there
 * were any. */
void docker_names_begin(struct docker_names *names);
bool docker_names_end(struct docker_names *names);

void docker_names_release(struct docker_names *names);

#endif
