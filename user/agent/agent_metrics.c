// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "lib/array.h"
#include "lib/log.h"
#include "lib/util.h"
#include "metrics/metrics_server.h"
#include "programs/counters.h"
#include "programs/programs_fill.h"

struct agent_metrics {
	const struct programs *programs;
	struct metrics_server *server;
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

/* Runs in the server's thread. The families that are few come first, because of the limit. */
static void collect(void *context, struct metrics_set *set)
{
	static const char *const labels[] = {SIDESTEP_VERSION, "agent", "bpf"};
	const struct agent_metrics *metrics = context;
	struct array namespaces = {.size = sizeof(struct served)};
	const struct served *served;
	size_t i, outer = 0;

	programs_namespaces_each(metrics->programs, visit_namespace, &namespaces);
	served = namespaces.items;
	for (i = 0; i < namespaces.count; i++)
		outer += (served[i].netns & SIDESTEP_OUTER) != 0;
	metrics_add(set, METRICS_BUILD_INFO, labels, 1);
	metrics_add(set, METRICS_START_TIME, NULL, (double)metrics->start);
	metrics_add(set, METRICS_NAMESPACES, (const char *[]) {"inside"},
		    (double)(namespaces.count - outer));
	metrics_add(set, METRICS_NAMESPACES, (const char *[]) {"outer"}, (double)outer);
	programs_fill_each(metrics->programs, metrics_add_map, set);
	if (namespaces.count > 0)
		qsort(namespaces.items, namespaces.count, sizeof(*served), by_age);
	for (i = 0; i < namespaces.count; i++)
		collect_packets(metrics, &served[i], set);
	free(namespaces.items);
}

static int serve(struct agent_metrics *metrics, const char *listen,
		 const struct option_prefixes *allow)
{
	struct metrics_server_config config = {
		.allow = allow->values,
		.allow_count = allow->count,
		.collect = collect,
		.context = metrics,
	};
	int error = metrics_server_parse(listen, false, allow->count, &config.address);

	if (error == 0)
		error = metrics_server_new(&config, &metrics->server);
	return error < 0 ? error : metrics_server_start(metrics->server);
}

int agent_metrics_new(const char *listen, const struct option_prefixes *allow,
		      const struct programs *programs, struct agent_metrics **ret_metrics)
{
	struct agent_metrics *metrics;
	int error;

	*ret_metrics = NULL;
	if (!listen)
		return 0;
	metrics = calloc(1, sizeof(*metrics));
	if (!metrics)
		return log_errno(-ENOMEM, "cannot serve metrics");
	metrics->programs = programs;
	metrics->start = time(NULL);
	error = serve(metrics, listen, allow);
	if (error < 0) {
		agent_metrics_free(metrics);
		return error;
	}
	*ret_metrics = metrics;
	return 0;
}

void agent_metrics_free(struct agent_metrics *metrics)
{
	if (!metrics)
		return;
	metrics_server_free(metrics->server);
	free(metrics);
}
