// SPDX-License-Identifier: Apache-2.0
#include "events/event_ring.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Stands for a size where the rest of the buffer is unused, because the next event did not fit. */
#define UNUSED UINT32_MAX

/* Events stand behind their size (uint32_t), whole, in multiples of it. */
struct event_ring {
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
	return ring;
}

void event_ring_free(struct event_ring *ring)
{
	if (!ring)
		return;
	(void)munmap(ring->bytes, ring->size);
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

/* With its size in front, in multiples of that. */
static size_t whole(size_t size)
{
	return (sizeof(uint32_t) + size + sizeof(uint32_t) - 1) & ~(sizeof(uint32_t) - 1);
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

void event_ring_put(struct event_ring *ring, const struct event *event)
{
	uint32_t size = (uint32_t)event_packed_size(event), unused = UNUSED;
	size_t left = rest(ring, ring->head.offset);

	if (left < whole(size)) {
		make_room(ring, left);
		memcpy(at(ring, ring->head.offset), &unused, sizeof(unused));
		ring->head.offset += left;
	}
	make_room(ring, whole(size));
	memcpy(at(ring, ring->head.offset), &size, sizeof(size));
	(void)event_pack(event, at(ring, ring->head.offset) + sizeof(size));
	ring->head.offset += whole(size);
	ring->head.number++;
}

struct event_cursor event_ring_oldest(const struct event_ring *ring)
{
	return ring->tail;
}

struct event_cursor event_ring_newest(const struct event_ring *ring)
{
	return ring->head;
}

const char *event_ring_next(const struct event_ring *ring, struct event_cursor *cursor,
			    uint64_t *lost)
{
	const char *packed;
	uint32_t size;

	if (cursor->offset < ring->tail.offset) {
		*lost += ring->tail.number - cursor->number;
		*cursor = ring->tail;
	}
	if (cursor->number == ring->head.number)
		return NULL;
	cursor->offset = skip_unused(ring, cursor->offset);
	size = size_at(ring, cursor->offset);
	packed = at(ring, cursor->offset) + sizeof(size);
	cursor->offset += whole(size);
	cursor->number++;
	return packed;
}
