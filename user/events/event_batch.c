// SPDX-License-Identifier: Apache-2.0
#include "events/event_batch.h"

#include <string.h>

#include "lib/util.h"

/* A message is a row of packed events, each behind its size (uint32_t). */

bool event_batch_add(struct event_batch *batch, const struct event *event)
{
	char packed[EVENT_PACKED_MAX];
	uint32_t size = (uint32_t)event_pack(event, packed);

	if (batch->used + sizeof(size) + size > sizeof(batch->bytes))
		return false;
	memcpy(batch->bytes + batch->used, &size, sizeof(size));
	memcpy(batch->bytes + batch->used + sizeof(size), packed, size);
	batch->used += sizeof(size) + size;
	return true;
}

bool event_batch_each(const char *bytes, size_t size,
		      void (*take)(void *context, struct event *event), void *context)
{
	while (size > 0) {
		struct event event;
		uint32_t length;

		if (size < sizeof(length))
			return false;
		memcpy(&length, bytes, sizeof(length));
		if (length > size - sizeof(length) ||
		    !event_unpack_checked(bytes + sizeof(length), length, &event))
			return false;
		take(context, &event);
		bytes += sizeof(length) + length;
		size -= sizeof(length) + length;
	}
	return true;
}
