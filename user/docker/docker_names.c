// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "docker/docker_labels.h"
#include "docker/docker_sidecar.h"

static struct docker_name *find(const struct docker_names *names, const char *id)
{
	size_t i;

	for (i = 0; i < names->count; i++)
		if (strcmp(names->items[i].id, id) == 0)
			return &names->items[i];
	return NULL;
}

static void release(struct docker_name *item)
{
	free(item->id);
	free(item->name);
	free(item->labels);
}

static struct docker_name *append(struct docker_names *names, const struct docker_facts *facts)
{
	struct docker_name item = {.id = strdup(facts->id), .name = strdup(facts->name)};
	struct docker_name *items = reallocarray(names->items, names->count + 1, sizeof(*items));

	if (items)
		names->items = items;
	if (!items || !item.id || !item.name) {
		release(&item);
		return NULL;
	}
	names->items[names->count] = item;
	return &names->items[names->count++];
}

static int rename_item(struct docker_name *item, const char *name)
{
	char *copy;

	if (strcmp(item->name, name) == 0)
		return 0;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	free(item->name);
	item->name = copy;
	return 1;
}

int docker_names_add(struct docker_names *names, const struct docker_facts *facts)
{
	struct docker_name *item = find(names, facts->id);
	int renamed = item ? 0 : 1, relabelled;

	if (!item && names->count >= DOCKER_SIDECARS_MAX)
		return 0;
	if (!item)
		item = append(names, facts);
	if (!item)
		return -ENOMEM;
	item->listed = true;
	if (renamed == 0)
		renamed = rename_item(item, facts->name);
	relabelled = facts->labels ? docker_labels_set(&item->labels, facts->labels, facts->event)
				   : 0;
	if (renamed < 0 || relabelled < 0)
		return -ENOMEM;
	return renamed > 0 || relabelled > 0;
}

void docker_names_begin(struct docker_names *names)
{
	size_t i;

	for (i = 0; i < names->count; i++)
		names->items[i].listed = false;
}

bool docker_names_end(struct docker_names *names)
{
	size_t kept = 0, i;
	bool forgotten;

	for (i = 0; i < names->count; i++) {
		if (names->items[i].listed)
			names->items[kept++] = names->items[i];
		else
			release(&names->items[i]);
	}
	forgotten = kept < names->count;
	names->count = kept;
	return forgotten;
}

void docker_names_release(struct docker_names *names)
{
	size_t i;

	for (i = 0; i < names->count; i++)
		release(&names->items[i]);
	free(names->items);
	*names = (struct docker_names) {0};
}
