// SPDX-License-Identifier: Apache-2.0
#include "events/event_batch.h"

#include <string.h>

#include "lib/util.h"

/* A message is a row of packed events, each behind its size (uint32_t). */

bool event_batch_add(struct event_batch *batch, const struct event *event)
{
	size_t used = event_pack_sized(event, batch->bytes + batch->used,
				       sizeof(batch->bytes) - batch->used);

	batch->used += used;
	return used > 0;
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
