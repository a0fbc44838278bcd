// SPDX-License-Identifier: Apache-2.0
#include "events/event_ring.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "events/event_labels.h"

/* Stands for a size where the rest of the buffer is unused, because the next event did not fit. */
#define UNUSED UINT32_MAX

/* Stands in front of each event. All are whole, in multiples of four bytes. */
struct head {
	uint32_t size;
	uint32_t labels; /* event_labels_keep() */
};

struct event_ring {
	struct event_labels *labels;
	char *bytes;
	size_t size;
	struct event_cursor tail, head;
};

struct event_ring *event_ring_new(size_t size)
{
	struct event_ring *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return NULL;
	ring->size = size < EVENT_RING_MIN ? EVENT_RING_MIN : size & ~(size_t)7;
	ring->bytes = mmap(NULL, ring->size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ring->bytes == MAP_FAILED) {
		free(ring);
		return NULL;
	}
	ring->labels = event_labels_new();
	if (!ring->labels) {
		event_ring_free(ring);
		return NULL;
	}
	return ring;
}

void event_ring_free(struct event_ring *ring)
{
	if (!ring)
		return;
	(void)munmap(ring->bytes, ring->size);
	event_labels_free(ring->labels);
	free(ring);
}

static char *at(const struct event_ring *ring, uint64_t offset)
{
	return ring->bytes + offset % ring->size;
}

/* Returns the size that stands at @offset. */
static uint32_t size_at(const struct event_ring *ring, uint64_t offset)
{
	uint32_t size;

	memcpy(&size, at(ring, offset), sizeof(size));
	return size;
}

/* With its head in front. */
static size_t whole(size_t size)
{
	return (sizeof(struct head) + size + sizeof(uint32_t) - 1) & ~(sizeof(uint32_t) - 1);
}

/* Returns the bytes from @offset to the end of the buffer. */
static size_t rest(const struct event_ring *ring, uint64_t offset)
{
	return ring->size - offset % ring->size;
}

/* Steps over an unused end of the buffer. */
static uint64_t skip_unused(const struct event_ring *ring, uint64_t offset)
{
	return size_at(ring, offset) == UNUSED ? offset + rest(ring, offset) : offset;
}

/* Drops the oldest events until @size bytes are free. */
static void make_room(struct event_ring *ring, size_t size)
{
	struct event_cursor *tail = &ring->tail;

	while (ring->head.offset + size - tail->offset > ring->size) {
		uint32_t first = size_at(ring, tail->offset);

		if (first == UNUSED) {
			tail->offset += rest(ring, tail->offset);
		} else {
			tail->offset += whole(first);
			tail->number++;
		}
	}
}

size_t event_ring_put(struct event_ring *ring, const struct event *event)
{
	char packed[EVENT_PACKED_MAX];
	const struct head head = {.size = (uint32_t)event_pack(event, packed, sizeof(packed)),
				  .labels = event_labels_keep(ring->labels, event)};
	size_t left = rest(ring, ring->head.offset);
	uint32_t unused = UNUSED;

	if (left < whole(head.size)) {
		make_room(ring, left);
		memcpy(at(ring, ring->head.offset), &unused, sizeof(unused));
		ring->head.offset += left;
	}
	make_room(ring, whole(head.size));
	memcpy(at(ring, ring->head.offset), &head, sizeof(head));
	memcpy(at(ring, ring->head.offset) + sizeof(head), packed, head.size);
	ring->head.offset += whole(head.size);
	ring->head.number++;
	return head.size;
}

struct event_cursor event_ring_oldest(const struct event_ring *ring)
{
	return ring->tail;
}

struct event_cursor event_ring_newest(const struct event_ring *ring)
{
	return ring->head;
}

bool event_ring_next(const struct event_ring *ring, struct event_cursor *cursor,
		     struct event *ret_event, uint64_t *lost)
{
	struct head head;

	if (cursor->offset < ring->tail.offset) {
		*lost += ring->tail.number - cursor->number;
		*cursor = ring->tail;
	}
	if (cursor->number == ring->head.number)
		return false;
	cursor->offset = skip_unused(ring, cursor->offset);
	memcpy(&head, at(ring, cursor->offset), sizeof(head));
	event_unpack(at(ring, cursor->offset) + sizeof(head), ret_event);
	ret_event->text[EVENT_CONTAINER_LABELS] = event_labels_find(ring->labels, head.labels);
	cursor->offset += whole(head.size);
	cursor->number++;
	return true;
}
