// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_metrics.h"

#include <errno.h>
#include <string.h>

#include "events/events.h"
#include "lib/log.h"
#include "lib/util.h"
#include "programs/counters.h"
#include "proxy/proxy.h"
#include "sidecar/docker_feed.h"

static bool is_application(const struct sidecar_options *options)
{
	return options->bridges.count == 0;
}

static int parse(const struct sidecar_options *options, struct socket_address *ret_address)
{
	return metrics_server_parse(options->metrics_listen, is_application(options),
				    options->metrics_allow.count, ret_address);
}

int sidecar_metrics_check(const struct sidecar_options *options)
{
	struct socket_address address;
	struct otlp_config config;
	int error = options->metrics_listen ? parse(options, &address) : 0;

	return error == 0 && otlp_options_given(&options->otlp)
		       ? otlp_options_read(&options->otlp, &config)
		       : error;
}

static void collect_proxy(const struct sidecar *sidecar, struct metrics_set *set)
{
	struct proxy_counters counters;
	size_t i;

	proxy_counters(sidecar->proxy, &counters);
	const struct {
		enum metrics_name name;
		uint64_t value;
	} values[] = {
		{METRICS_CONNECTIONS_OPEN, counters.connections},
		{METRICS_CONNECTIONS_LIMIT, sidecar->options->max_connections},
		{METRICS_CONNECTIONS_ACCEPTED, counters.accepted},
		{METRICS_CONNECTIONS_REFUSED, counters.refused_limit},
		{METRICS_CONNECTIONS_TUNNELLED, counters.relayed},
		{METRICS_GATEWAY_ERRORS, counters.gateway_errors},
		{METRICS_GATEWAY_REFUSALS, counters.gateway_refusals},
		{METRICS_SENT_BYTES, counters.bytes_sent},
		{METRICS_RECEIVED_BYTES, counters.bytes_received},
		{METRICS_DNS_QUERIES, counters.dns_queries},
		{METRICS_DNS_FAILURES, counters.dns_failures},
		{METRICS_TLS_HANDSHAKES, counters.tls_handshakes},
		{METRICS_TLS_FAILURES, counters.tls_failures},
	};

	for (i = 0; i < ARRAY_SIZE(values); i++)
		metrics_add(set, values[i].name, NULL, (double)values[i].value);
}

static void collect_datapath(struct sidecar *sidecar, struct metrics_set *set)
{
	const char *labels[METRICS_LABELS_MAX] = {SIDESTEP_VERSION,
						  sidecar->bridge_mode ? "bridge" : "sidecar"};
	uint64_t sums[SIDESTEP_COUNTERS];
	int count, i;

	(void)pthread_rwlock_rdlock(&sidecar->datapath.lock);
	labels[2] = sidecar->datapath.current->ops->name;
	count = datapath_read_counters(sidecar->datapath.current, sums);
	datapath_each_map(sidecar->datapath.current, metrics_add_map, set);
	(void)pthread_rwlock_unlock(&sidecar->datapath.lock);
	metrics_add(set, METRICS_BUILD_INFO, labels, 1);
	for (i = 0; i < count; i++)
		metrics_add(set, METRICS_PACKETS, (const char *[]) {NULL, NULL, counter_names[i]},
			    (double)sums[i]);
}

static void collect_events(struct sidecar *sidecar, struct metrics_set *set)
{
	struct events_counters counters;

	metrics_events_collect(sidecar->metrics.sums, set);
	events_counters(sidecar->events.events, &counters);
	metrics_add(set, METRICS_EVENTS, NULL, (double)counters.taken);
	metrics_add(set, METRICS_EVENTS_LOST, (const char *[]) {"queue"}, (double)counters.lost);
	if (sidecar->metrics.otlp)
		metrics_add(set, METRICS_EVENTS_LOST, (const char *[]) {"otlp"},
			    (double)otlp_lost(sidecar->metrics.otlp));
}

/* Runs in the threads of the server and of the exporter. */
static void collect(void *context, struct metrics_set *set)
{
	struct sidecar *sidecar = context;
	struct sidecar_metrics *metrics = &sidecar->metrics;

	collect_datapath(sidecar, set);
	collect_events(sidecar, set);
	metrics_add(set, METRICS_START_TIME, NULL, (double)metrics->start);
	collect_proxy(sidecar, set);
	if (sidecar->options->docker_socket)
		metrics_add_histogram(set, METRICS_SYNC_LAG, &metrics->sync_lag);
	metrics_add(set, METRICS_SYNC_FAILURES, NULL, (double)metrics->sync_failures);
}

static int make_otlp(struct sidecar *sidecar)
{
	const struct sidecar_options *options = sidecar->options;
	struct otlp_config config;
	int error;

	if (!otlp_options_given(&options->otlp))
		return 0;
	error = otlp_options_read(&options->otlp, &config);
	if (error < 0)
		return error;
	config.application = is_application(options);
	config.announcer = (struct dial_announcer) {sidecar_datapath_announce, &sidecar->datapath};
	config.collect = collect;
	config.context = sidecar;
	return otlp_new(&config, &sidecar->metrics.otlp);
}

int sidecar_metrics_prepare(struct sidecar *sidecar)
{
	const struct sidecar_options *options = sidecar->options;

	sidecar->metrics.start = time(NULL);
	if (!options->metrics_listen && !otlp_options_given(&options->otlp))
		return 0;
	if (metrics_events_new(options->metrics_hosts, 0, &sidecar->metrics.sums) < 0)
		return log_errno(-ENOMEM, "cannot prepare the metrics");
	return make_otlp(sidecar);
}

int sidecar_metrics_add_sinks(struct sidecar *sidecar)
{
	struct event_sink sink;
	int error = 0;

	if (sidecar->metrics.sums) {
		sink = metrics_events_sink(sidecar->metrics.sums);
		error = events_add_sink(sidecar->events.events, &sink);
	}
	if (error == 0 && sidecar->metrics.otlp) {
		sink = otlp_sink(sidecar->metrics.otlp);
		error = events_add_sink(sidecar->events.events, &sink);
	}
	return error;
}

void sidecar_metrics_release(struct sidecar *sidecar)
{
	otlp_free(sidecar->metrics.otlp);
	metrics_events_free(sidecar->metrics.sums);
	sidecar->metrics.otlp = NULL;
	sidecar->metrics.sums = NULL;
}

int sidecar_metrics_open(struct sidecar *sidecar)
{
	const struct sidecar_options *options = sidecar->options;
	struct metrics_server_config config = {
		.application = is_application(options),
		.allow = options->metrics_allow.values,
		.allow_count = options->metrics_allow.count,
		.collect = collect,
		.context = sidecar,
	};
	int error;

	if (!options->metrics_listen)
		return 0;
	error = parse(options, &config.address);
	return error < 0 ? error : metrics_server_new(&config, &sidecar->metrics.server);
}

int sidecar_metrics_start(struct sidecar *sidecar)
{
	struct sidecar_metrics *metrics = &sidecar->metrics;
	int error = metrics->server ? metrics_server_start(metrics->server) : 0;

	return error == 0 && metrics->otlp ? otlp_start(metrics->otlp) : error;
}

void sidecar_metrics_stop(struct sidecar *sidecar)
{
	if (sidecar->metrics.server)
		metrics_server_stop(sidecar->metrics.server);
	if (sidecar->metrics.otlp)
		otlp_end_metrics(sidecar->metrics.otlp);
}

void sidecar_metrics_close(struct sidecar *sidecar)
{
	metrics_server_free(sidecar->metrics.server);
	sidecar->metrics.server = NULL;
}

const char *sidecar_metrics_file(const struct sidecar *sidecar)
{
	const char *text = sidecar->options->metrics_listen;

	return text && strncmp(text, "unix:", 5) == 0 ? text + 5 : NULL;
}

void sidecar_metrics_synced(struct sidecar *sidecar, int error)
{
	uint64_t lag_us;

	if (error < 0)
		sidecar->metrics.sync_failures++;
	else if (sidecar->feed && docker_feed_synced(sidecar->feed, &lag_us))
		metrics_histogram_add(&sidecar->metrics.sync_lag, lag_us);
}
