/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages between the agent and its exporter, the process that serves the metrics and sends
 * them to a collector. The agent does not trust the exporter, which parses what strangers send. The
 * messages go by the sockets of agent_spawn.h:
 *
 *	news	agent: struct agent_figures_settings, then batches of events (event_batch.h)
 *	asks	exporter: struct agent_figures_ask; agent: struct agent_answer with a
 *		descriptor for reading
 */
#ifndef SIDESTEP_AGENT_FIGURES_H
#define SIDESTEP_AGENT_FIGURES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/address.h"
#include "metrics/otlp_headers.h"
#include "metrics/otlp_url.h"

/* Of variable size: agent_figures_settings_size(). */
struct agent_figures_settings {
	bool serves; /* it has a listener */
	bool sends;  /* the collector is given */
	struct otlp_url url;
	struct otlp_headers headers;
	char ca[PATH_MAX]; /* "": the system's */
	unsigned int interval_ms;
	uint64_t start_ns;
	size_t allow_count;
	struct prefix allow[];
};

enum agent_figures_type {
	AGENT_FIGURES_METRICS, /* metrics/metrics_pack.h */
	AGENT_FIGURES_HOSTS,   /* the file that says which names are known */
	AGENT_FIGURES_RESOLVERS,
	AGENT_FIGURES_TYPES,
};

struct agent_figures_ask {
	uint32_t type; /* enum agent_figures_type */
	uint32_t unused;
	uint64_t lost; /* events that this exporter has lost until now */
};

static inline size_t agent_figures_settings_size(size_t allow_count)
{
	return sizeof(struct agent_figures_settings) + allow_count * sizeof(struct prefix);
}

#endif
