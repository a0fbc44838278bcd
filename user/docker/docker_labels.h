/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs the labels of a container, bounded: keys and values in turn, each with its NUL, and an
 * empty key at the end. A label that does not fit is left out.
 */
#ifndef SIDESTEP_DOCKER_LABELS_H
#define SIDESTEP_DOCKER_LABELS_H

#include <jansson.h>
#include <stdbool.h>

/* All of a container's, in bytes. */
#define DOCKER_LABELS_MAX 1024

/* @labels: an object of strings, or NULL. @event: the attributes of an event, among which are an
 * "image" and a "name" of the engine's. The rest of @packed is zeroed. */
void docker_labels_pack(const json_t *labels, bool event, char packed[DOCKER_LABELS_MAX]);

/* Does likewise into *@packed, which is allocated if it is NULL. Returns 1 if something has
 * changed, 0 if not, or -ENOMEM. */
int docker_labels_set(char **packed, const json_t *labels, bool event);

#endif
