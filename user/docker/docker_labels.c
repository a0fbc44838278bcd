// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_labels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_engines(const char *key)
{
	return strcmp(key, "image") == 0 || strcmp(key, "name") == 0;
}

void docker_labels_pack(const json_t *labels, bool event, char packed[DOCKER_LABELS_MAX])
{
	const char *key;
	json_t *item;
	size_t used = 0;

	memset(packed, 0, DOCKER_LABELS_MAX);
	/* The macro takes an iterator, which needs an object that may change. */
	json_object_foreach ((json_t *)labels, key, item) {
		const char *value = json_string_value(item);
		size_t key_size = strlen(key) + 1, value_size = value ? strlen(value) + 1 : 0;

		if (!value || !*key || (event && is_engines(key)) ||
		    key_size + value_size >= DOCKER_LABELS_MAX - used)
			continue;
		memcpy(packed + used, key, key_size);
		memcpy(packed + used + key_size, value, value_size);
		used += key_size + value_size;
	}
}

int docker_labels_set(char **packed, const json_t *labels, bool event)
{
	char fresh[DOCKER_LABELS_MAX];

	docker_labels_pack(labels, event, fresh);
	if (!*packed)
		*packed = calloc(1, DOCKER_LABELS_MAX);
	if (!*packed)
		return -ENOMEM;
	if (memcmp(*packed, fresh, DOCKER_LABELS_MAX) == 0)
		return 0;
	memcpy(*packed, fresh, DOCKER_LABELS_MAX);
	return 1;
}
