// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics_containers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int metrics_containers_init(struct metrics_containers *containers, size_t limit)
{
	containers->limit = limit;
	containers->places = limit ? calloc(limit, sizeof(*containers->places)) : NULL;
	return limit && !containers->places ? -ENOMEM : 0;
}

void metrics_containers_release(struct metrics_containers *containers)
{
	free(containers->places);
	*containers = (struct metrics_containers) {0};
}

static struct metrics_container *find(struct metrics_containers *containers, uint64_t netns)
{
	size_t i;

	for (i = 0; i < containers->count; i++)
		if (containers->places[i].netns == netns)
			return &containers->places[i];
	return NULL;
}

struct metrics_container *metrics_containers_find(struct metrics_containers *containers,
						  uint64_t netns)
{
	struct metrics_container *container = find(containers, netns);

	if (container || containers->count == containers->limit)
		return container;
	container = &containers->places[containers->count++];
	*container = (struct metrics_container) {.netns = netns};
	return container;
}

void metrics_containers_collect(struct metrics_containers *containers, uint64_t netns,
				const char *name, struct metrics_set *set)
{
	struct metrics_container *container = find(containers, netns);
	char number[24];
	size_t i;

	if (!container)
		return;
	container->served = true;
	(void)snprintf(number, sizeof(number), "%" PRIu64, netns);
	for (i = EVENT_END_FIN; i < EVENT_ENDS; i++)
		if (container->ends[i] > 0)
			metrics_add(set, METRICS_CONTAINER_CONNECTIONS,
				    (const char *[]) {name, number, event_end_names[i]},
				    (double)container->ends[i]);
	metrics_add(set, METRICS_CONTAINER_SENT_BYTES, (const char *[]) {name, number},
		    (double)container->sent);
	metrics_add(set, METRICS_CONTAINER_RECEIVED_BYTES, (const char *[]) {name, number},
		    (double)container->received);
}

void metrics_containers_end(struct metrics_containers *containers)
{
	size_t kept = 0, i;

	for (i = 0; i < containers->count; i++) {
		if (!containers->places[i].served)
			continue;
		containers->places[i].served = false;
		containers->places[kept++] = containers->places[i];
	}
	containers->count = kept;
}
