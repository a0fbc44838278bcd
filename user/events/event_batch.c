// SPDX-License-Identifier: Apache-2.0
#include "events/event_batch.h"

#include <string.h>

#include "lib/util.h"

/* A message is a row of packed events, each behind its size (uint32_t). Labels follow with their
 * NUL. */

bool event_batch_add(struct event_batch *batch, const struct event *event)
{
	size_t used = event_pack_sized(event, batch->bytes + batch->used,
				       sizeof(batch->bytes) - batch->used);

	batch->used += used;
	return used > 0;
}

bool event_batch_add_labelled(struct event_batch *batch, const struct event *event)
{
	const char *text = event->text[EVENT_CONTAINER_LABELS], *labels = text ? text : "";
	size_t size = strnlen(labels, EVENT_LABELS_MAX), before = batch->used;

	if (!event_batch_add(batch, event))
		return false;
	if (size >= sizeof(batch->bytes) - batch->used) {
		batch->used = before;
		return false;
	}
	memcpy(batch->bytes + batch->used, labels, size);
	batch->bytes[batch->used + size] = '\0';
	batch->used += size + 1;
	return true;
}

/* Unpacks the event at *@at, and moves that behind it. @end: of the message. */
static bool unpack(const char **at, const char *end, struct event *ret_event)
{
	uint32_t length;

	if ((size_t)(end - *at) < sizeof(length))
		return false;
	memcpy(&length, *at, sizeof(length));
	*at += sizeof(length);
	if (length > (size_t)(end - *at) || !event_unpack_checked(*at, length, ret_event))
		return false;
	*at += length;
	return true;
}

bool event_batch_each(const char *bytes, size_t size,
		      void (*take)(void *context, struct event *event), void *context)
{
	const char *end = bytes + size;
	struct event event;

	while (bytes < end) {
		if (!unpack(&bytes, end, &event))
			return false;
		take(context, &event);
	}
	return true;
}

bool event_batch_each_labelled(const char *bytes, size_t size,
			       void (*take)(void *context, struct event *event), void *context)
{
	const char *end = bytes + size, *labels;
	struct event event;

	while (bytes < end) {
		if (!unpack(&bytes, end, &event))
			return false;
		labels = bytes;
		bytes = memchr(labels, '\0', (size_t)(end - labels));
		if (!bytes++)
			return false;
		event.text[EVENT_CONTAINER_LABELS] = *labels ? labels : NULL;
		take(context, &event);
	}
	return true;
}
