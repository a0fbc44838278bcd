/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics that Sidestep has, with their types, units and labels. docs/METRICS.md explains them.
 *
 * Names and units follow Prometheus' guide (https://prometheus.io/docs/practices/naming/): seconds
 * and bytes, and _total for counters.
 */
#ifndef SIDESTEP_METRICS_FAMILIES_H
#define SIDESTEP_METRICS_FAMILIES_H

/* Most labels of a family. */
#define METRICS_LABELS_MAX 3

enum metrics_type {
	METRICS_COUNTER,
	METRICS_GAUGE,
	METRICS_HISTOGRAM,
};

/* In the order of the exposition. */
enum metrics_name {
	METRICS_BUILD_INFO,
	METRICS_START_TIME,
	METRICS_CONNECTIONS_OPEN,
	METRICS_CONNECTIONS_LIMIT,
	METRICS_CONNECTIONS_ACCEPTED,
	METRICS_CONNECTIONS_REFUSED,
	METRICS_CONNECTIONS_TUNNELLED,
	METRICS_CONNECTIONS,
	METRICS_CONNECT_TIME,
	METRICS_OPEN_TIME,
	METRICS_FIRST_BYTE_TIME,
	METRICS_DURATION,
	METRICS_HOST_CONNECTIONS,
	METRICS_HOST_SENT_BYTES,
	METRICS_HOST_RECEIVED_BYTES,
	METRICS_CONTAINER_CONNECTIONS,
	METRICS_CONTAINER_SENT_BYTES,
	METRICS_CONTAINER_RECEIVED_BYTES,
	METRICS_GATEWAY_ERRORS,
	METRICS_GATEWAY_REFUSALS,
	METRICS_SENT_BYTES,
	METRICS_RECEIVED_BYTES,
	METRICS_DNS_QUERIES,
	METRICS_DNS_FAILURES,
	METRICS_DNS_ANSWERS,
	METRICS_TLS_HANDSHAKES,
	METRICS_TLS_FAILURES,
	METRICS_PACKETS,
	METRICS_OUTER_PACKETS,
	METRICS_MAP_ENTRIES,
	METRICS_MAP_CAPACITY,
	METRICS_SYNC_LAG,
	METRICS_SYNC_FAILURES,
	METRICS_NAMESPACES,
	METRICS_EVENTS,
	METRICS_EVENTS_LOST,
	METRICS_SERIES_DROPPED,
	METRICS_FAMILIES,
};

struct metrics_family {
	const char *name; /* without the "_total" of a counter */
	const char *unit; /* the name's last part, or NULL: it counts things */
	const char *help;
	enum metrics_type type;
	const char *labels[METRICS_LABELS_MAX]; /* NULL behind the last one */
};

/* Indexed by enum metrics_name. */
extern const struct metrics_family metrics_families[METRICS_FAMILIES];

#endif
