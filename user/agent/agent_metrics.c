// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/agent_exporter.h"
#include "lib/array.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/util.h"
#include "metrics/metrics_containers.h"
#include "metrics/metrics_events.h"
#include "programs/counters.h"
#include "programs/programs_fill.h"

struct agent_metrics {
	const struct agent_options *options;
	const struct programs *programs;
	struct agent_events *events;
	struct metrics_events *sums;
	struct agent_exporter *exporter;
	struct metrics_histogram sync_lag;
	_Atomic uint64_t sync_failures;
	pthread_mutex_t look; /* at the containers */
	bool over;	      /* guarded by it: nothing is collected any more */
	time_t start;
};

/* A namespace of the maps, or the outer guard of one. */
struct served {
	uint32_t netns;
	char name[sizeof(((struct sidestep_namespace *)0)->name)];
};

static void visit_namespace(void *context, uint32_t netns, const struct sidestep_namespace *value)
{
	struct served served = {.netns = netns};

	(void)snprintf(served.name, sizeof(served.name), "%s", value->name);
	(void)array_append(context, &served);
}

/* Older namespaces come first, and the outer guards behind them. So a host with more containers
 * than there are series shows the same ones each time. */
static int by_age(const void *a, const void *b)
{
	const struct served *one = a, *other = b;

	return (one->netns > other->netns) - (one->netns < other->netns);
}

static void collect_packets(const struct agent_metrics *metrics, const struct served *served,
			    struct metrics_set *set)
{
	bool outer = served->netns & SIDESTEP_OUTER;
	uint64_t sums[SIDESTEP_COUNTERS];
	char netns[16];
	size_t i;

	if (programs_counters(metrics->programs, served->netns, sums) < 0)
		return;
	(void)snprintf(netns, sizeof(netns), "%" PRIu32, served->netns & ~SIDESTEP_OUTER);
	for (i = 0; i < SIDESTEP_COUNTERS; i++)
		/* An outer guard has few verdicts. */
		if (!outer || sums[i] > 0)
			metrics_add(set, outer ? METRICS_OUTER_PACKETS : METRICS_PACKETS,
				    (const char *[]) {served->name, netns, counter_names[i]},
				    (double)sums[i]);
}

/* The map of flows has the connections that are open. A sidecar counts these itself. */
static void collect_map(void *context, const char *map, uint32_t entries, uint32_t capacity)
{
	metrics_add_map(context, map, entries, capacity);
	if (strcmp(map, "flows") != 0)
		return;
	metrics_add(context, METRICS_CONNECTIONS_OPEN, NULL, entries);
	metrics_add(context, METRICS_CONNECTIONS_LIMIT, NULL, capacity);
}

static void collect_events(struct agent_metrics *metrics, struct metrics_set *set)
{
	struct agent_events_counters counters;

	agent_events_counters(metrics->events, &counters);
	metrics_add(set, METRICS_EVENTS, NULL, (double)counters.own.taken);
	metrics_add(set, METRICS_EVENTS_LOST, (const char *[]) {"queue"},
		    (double)counters.own.lost);
	metrics_add(set, METRICS_EVENTS_LOST, (const char *[]) {"before"},
		    (double)counters.lost_before);
	if (otlp_options_given(&metrics->options->otlp))
		metrics_add(set, METRICS_EVENTS_LOST, (const char *[]) {"otlp"},
			    (double)agent_exporter_lost(metrics->exporter));
	metrics_events_collect_totals(metrics->sums, set);
	metrics_events_collect(metrics->sums, set);
}

static void collect_namespaces(struct agent_metrics *metrics, struct metrics_set *set)
{
	struct array namespaces = {.size = sizeof(struct served)};
	const struct served *served;
	size_t i, outer = 0;

	programs_namespaces_each(metrics->programs, visit_namespace, &namespaces);
	served = namespaces.items;
	for (i = 0; i < namespaces.count; i++)
		outer += (served[i].netns & SIDESTEP_OUTER) != 0;
	metrics_add(set, METRICS_NAMESPACES, (const char *[]) {"inside"},
		    (double)(namespaces.count - outer));
	metrics_add(set, METRICS_NAMESPACES, (const char *[]) {"outer"}, (double)outer);
	if (namespaces.count > 0)
		qsort(namespaces.items, namespaces.count, sizeof(*served), by_age);
	for (i = 0; i < namespaces.count; i++) {
		metrics_events_collect_container(metrics->sums, served[i].netns, served[i].name,
						 set);
		collect_packets(metrics, &served[i], set);
	}
	metrics_events_end_containers(metrics->sums);
	free(namespaces.items);
}

/* The families that are few come first, because of the limit. */
static void collect_all(struct agent_metrics *metrics, struct metrics_set *set)
{
	static const char *const labels[] = {SIDESTEP_VERSION, "agent", "bpf"};

	metrics_add(set, METRICS_BUILD_INFO, labels, 1);
	metrics_add(set, METRICS_START_TIME, NULL, (double)metrics->start);
	programs_fill_each(metrics->programs, collect_map, set);
	metrics_add_histogram(set, METRICS_SYNC_LAG, &metrics->sync_lag);
	metrics_add(set, METRICS_SYNC_FAILURES, NULL, (double)metrics->sync_failures);
	collect_events(metrics, set);
	collect_namespaces(metrics, set);
}

/* Runs in the exporter's thread. */
static void collect(void *context, struct metrics_set *set)
{
	struct agent_metrics *metrics = context;

	(void)pthread_mutex_lock(&metrics->look);
	if (!metrics->over)
		collect_all(metrics, set);
	(void)pthread_mutex_unlock(&metrics->look);
}

int agent_metrics_new(const struct agent_options *options, struct agent_metrics **ret_metrics)
{
	struct agent_metrics *metrics;
	int error;

	if (!options->metrics_listen && !otlp_options_given(&options->otlp))
		return 0;
	metrics = calloc(1, sizeof(*metrics));
	if (!metrics)
		return log_errno(-ENOMEM, "cannot prepare the metrics");
	(void)pthread_mutex_init(&metrics->look, NULL);
	metrics->options = options;
	metrics->start = time(NULL);
	error = metrics_events_new(options->metrics_hosts, METRICS_CONTAINERS_MAX, &metrics->sums);
	error = error < 0 ? log_errno(error, "cannot prepare the metrics")
			  : agent_exporter_new(options, collect, metrics, &metrics->exporter);
	if (error < 0) {
		agent_metrics_free(metrics);
		return error;
	}
	*ret_metrics = metrics;
	return 0;
}

size_t agent_metrics_sinks(struct agent_metrics *metrics,
			   struct event_sink ret_sinks[AGENT_METRICS_SINKS])
{
	size_t count = 0;

	if (metrics)
		ret_sinks[count++] = metrics_events_sink(metrics->sums);
	if (metrics && otlp_options_given(&metrics->options->otlp))
		ret_sinks[count++] = agent_exporter_sink(metrics->exporter);
	return count;
}

int agent_metrics_start(struct agent_metrics *metrics, const struct programs *programs,
			struct agent_events *events)
{
	if (!metrics)
		return 0;
	metrics->programs = programs;
	metrics->events = events;
	return agent_exporter_start(metrics->exporter);
}

void agent_metrics_synced(struct agent_metrics *metrics, int64_t heard_us)
{
	if (metrics)
		metrics_histogram_add(&metrics->sync_lag, clock_ns() / 1000 - (uint64_t)heard_us);
}

void agent_metrics_failed(struct agent_metrics *metrics)
{
	if (metrics)
		metrics->sync_failures++;
}

void agent_metrics_stop(struct agent_metrics *metrics)
{
	if (!metrics)
		return;
	(void)pthread_mutex_lock(&metrics->look);
	metrics->over = true;
	(void)pthread_mutex_unlock(&metrics->look);
}

void agent_metrics_free(struct agent_metrics *metrics)
{
	if (!metrics)
		return;
	agent_exporter_free(metrics->exporter);
	(void)pthread_mutex_destroy(&metrics->look);
	metrics_events_free(metrics->sums);
	free(metrics);
}
