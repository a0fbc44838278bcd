/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the labels of containers in JSON, and keeps them once for each container, for events that
 * are remembered. */
#ifndef SIDESTEP_EVENT_LABELS_H
#define SIDESTEP_EVENT_LABELS_H

#include <stddef.h>
#include <stdint.h>

#include "events/event.h"

/* Containers whose labels are kept at the same time. */
#define EVENT_LABELS_KEPT 1024

/* Writes a JSON object, with its NUL. @packed: keys and values in turn, each with its NUL, and an
 * empty key at the end, within @size bytes. A label that does not fit is left out. */
void event_labels_write(const char *packed, size_t size, char json[EVENT_LABELS_MAX + 1]);

struct event_labels;

/* NULL: no memory. */
struct event_labels *event_labels_new(void);

/* NULL is allowed. */
void event_labels_free(struct event_labels *labels);

/* Keeps the labels of the event's container, at the cost of those of another one. Returns a number
 * for event_labels_find(), or 0: it has none, or there is no memory. */
uint32_t event_labels_keep(struct event_labels *labels, const struct event *event);

/* Returns the labels with that number, or NULL: they had to make room. */
const char *event_labels_find(const struct event_labels *labels, uint32_t number);

#endif
