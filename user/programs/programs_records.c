// SPDX-License-Identifier: Apache-2.0
#include "programs/programs_records.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/util.h"
#include "programs/programs_private.h"

struct ring {
	struct record_source source;
	struct ring_buffer *buffer;
	size_t record_size;
	/* Of the read in progress. */
	void (*take)(void *context, const void *record);
	void *context;
};

static int on_record(void *context, void *data, size_t size)
{
	const struct ring *ring = context;

	if (size >= ring->record_size)
		ring->take(ring->context, data);
	return 0;
}

/* The programs' budget bounds what comes meanwhile. */
static void ring_read(struct record_source *source, void (*take)(void *context, const void *record),
		      void *context)
{
	struct ring *ring = container_of(source, struct ring, source);

	ring->take = take;
	ring->context = context;
	(void)ring_buffer__consume(ring->buffer);
}

static void ring_close(struct record_source *source)
{
	struct ring *ring = container_of(source, struct ring, source);

	ring_buffer__free(ring->buffer);
	free(ring);
}

static int ring_open(int map_fd, size_t record_size, struct record_source **ret_source)
{
	struct ring *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	ring->record_size = record_size;
	ring->buffer = ring_buffer__new(map_fd, on_record, ring, NULL);
	if (!ring->buffer) {
		int error = -errno;

		free(ring);
		return error;
	}
	ring->source = (struct record_source) {
		.fd = ring_buffer__epoll_fd(ring->buffer),
		.read = ring_read,
		.close = ring_close,
	};
	*ret_source = &ring->source;
	return 0;
}

int programs_denials_open(const struct programs *programs, struct record_source **ret_source)
{
	return ring_open(programs->maps[MAP_DENIALS], sizeof(struct sidestep_denial), ret_source);
}

int programs_starters_open(const struct programs *programs, struct record_source **ret_source)
{
	return ring_open(programs->maps[MAP_STARTERS], sizeof(struct sidestep_process), ret_source);
}
