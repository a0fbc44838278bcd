// SPDX-License-Identifier: Apache-2.0
#include "events/event_labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json_text.h"

struct slot {
	char id[65];
	uint32_t number; /* of these labels: the slot's place, and how often it was filled */
	char *text;	 /* NULL: empty */
};

struct event_labels {
	struct slot slots[EVENT_LABELS_KEPT];
};

/* Returns the size of a text within @size bytes, with its NUL, or 0: it has none. */
static size_t size_of(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	return length < size ? length + 1 : 0;
}

void event_labels_write(const char *packed, size_t size, char json[EVENT_LABELS_MAX + 1])
{
	size_t used = 1;

	json[0] = '{';
	for (;;) {
		size_t key = size_of(packed, size);
		size_t value = key > 1 ? size_of(packed + key, size - key) : 0;

		if (value == 0)
			break;
		/* Quotes, a comma, a colon, and the end of the object. */
		if (used + (key + value) * JSON_TEXT_ESCAPED + 7 <= EVENT_LABELS_MAX) {
			if (used > 1)
				json[used++] = ',';
			used += json_text_write(packed, json + used);
			json[used++] = ':';
			used += json_text_write(packed + key, json + used);
		}
		packed += key + value;
		size -= key + value;
	}
	json[used++] = '}';
	json[used] = '\0';
}

struct event_labels *event_labels_new(void)
{
	/* Its pages come with use. */
	return calloc(1, sizeof(struct event_labels));
}

void event_labels_free(struct event_labels *labels)
{
	size_t i;

	for (i = 0; labels && i < EVENT_LABELS_KEPT; i++)
		free(labels->slots[i].text);
	free(labels);
}

/* An id is a hash, in hexadecimal digits. */
static size_t place_of(const char *id)
{
	char head[9] = "";

	memcpy(head, id, strnlen(id, sizeof(head) - 1));
	return strtoul(head, NULL, 16) % EVENT_LABELS_KEPT;
}

uint32_t event_labels_keep(struct event_labels *labels, const struct event *event)
{
	const char *id = event->text[EVENT_CONTAINER_ID];
	const char *text = event->text[EVENT_CONTAINER_LABELS];
	struct slot *slot;
	char *copy;
	size_t place;

	if (!id || !text || strlen(id) >= sizeof(slot->id))
		return 0;
	place = place_of(id);
	slot = &labels->slots[place];
	if (slot->text && strcmp(slot->id, id) == 0 && strcmp(slot->text, text) == 0)
		return slot->number;
	copy = strdup(text);
	if (!copy)
		return 0;
	free(slot->text);
	slot->text = copy;
	(void)snprintf(slot->id, sizeof(slot->id), "%s", id);
	if (slot->number == 0)
		slot->number = (uint32_t)place;
	slot->number += EVENT_LABELS_KEPT;
	return slot->number;
}

const char *event_labels_find(const struct event_labels *labels, uint32_t number)
{
	const struct slot *slot = &labels->slots[number % EVENT_LABELS_KEPT];

	return number > 0 && slot->number == number ? slot->text : NULL;
}
