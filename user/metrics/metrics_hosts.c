// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics_hosts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int metrics_hosts_init(struct metrics_hosts *hosts, size_t limit)
{
	hosts->shown_limit = limit;
	hosts->limit = limit * METRICS_HOSTS_CANDIDATES;
	hosts->hosts = limit ? calloc(hosts->limit, sizeof(*hosts->hosts)) : NULL;
	return limit && !hosts->hosts ? -ENOMEM : 0;
}

void metrics_hosts_release(struct metrics_hosts *hosts)
{
	free(hosts->hosts);
	*hosts = (struct metrics_hosts) {0};
}

/* Returns the candidate of that name, or the place for it: a free one, or the least busy one's. */
static struct metrics_host *find(struct metrics_hosts *hosts, const char *name)
{
	struct metrics_host *least = &hosts->hosts[0];
	size_t i;

	for (i = 0; i < hosts->count; i++) {
		if (strcasecmp(hosts->hosts[i].name, name) == 0)
			return &hosts->hosts[i];
		if (hosts->hosts[i].rank < least->rank)
			least = &hosts->hosts[i];
	}
	return hosts->count < hosts->limit ? &hosts->hosts[hosts->count++] : least;
}

static void count(struct metrics_traffic *traffic, uint64_t sent, uint64_t received)
{
	traffic->connections++;
	traffic->sent += sent;
	traffic->received += received;
}

void metrics_hosts_add(struct metrics_hosts *hosts, const char *name, uint64_t sent,
		       uint64_t received)
{
	struct metrics_host *host;

	if (!name || !hosts->hosts) {
		count(&hosts->others, sent, received);
		return;
	}
	host = find(hosts, name);
	if (strcasecmp(host->name, name) != 0) {
		/* A shown host that nobody asks for any more makes room as well. */
		*host = (struct metrics_host) {.rank = host->rank};
		(void)snprintf(host->name, sizeof(host->name), "%s", name);
	}
	host->rank++;
	count(host->shown ? &host->traffic : &hosts->others, sent, received);
}

static int by_rank(const void *a, const void *b)
{
	const struct metrics_host *one = a, *other = b;

	return (one->rank < other->rank) - (one->rank > other->rank);
}

void metrics_hosts_each(struct metrics_hosts *hosts,
			void (*visit)(void *context, const char *name,
				      const struct metrics_traffic *traffic),
			void *context)
{
	size_t i;

	if (!hosts->hosts)
		return;
	qsort(hosts->hosts, hosts->count, sizeof(*hosts->hosts), by_rank);
	for (i = 0; i < hosts->count; i++) {
		struct metrics_host *host = &hosts->hosts[i];
		bool show = i < hosts->shown_limit;

		if (show != host->shown)
			host->traffic = (struct metrics_traffic) {0};
		host->shown = show;
		if (show)
			visit(context, host->name, &host->traffic);
	}
	visit(context, "other", &hosts->others);
}
