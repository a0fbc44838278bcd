// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics_events.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "metrics/metrics_containers.h"
#include "metrics/metrics_hosts.h"
#include "proto/hostname.h"

/* The response codes of a DNS header (RFC 1035 section 4.1.1). */
#define RCODES 16

/* The status codes of HTTP have three digits (RFC 9110 section 15). */
#define STATUS_MIN 100
#define STATUS_MAX 999

/* The most that one event adds to a sum: 16 TiB, and a year. */
#define BYTES_MAX    (UINT64_C(1) << 44)
#define DURATION_MAX (UINT64_C(365) * 24 * 3600 * 1000)

/* A reason for everything that has none of its own. */
static const char other[] = "other";

struct outcome {
	uint8_t end;
	uint16_t gateway_status;
	char reason[32];
	uint64_t count;
};

struct metrics_events {
	pthread_mutex_t lock; /* of all below but the histograms */
	struct outcome outcomes[METRICS_OUTCOMES_MAX + EVENT_ENDS];
	size_t outcome_count;
	uint64_t dns[RCODES][2]; /* the second is for made-up answers */
	/* The sums that a sidecar has without events. */
	uint64_t totals[METRICS_FAMILIES];
	struct metrics_hosts hosts;
	struct metrics_containers containers;
	struct metrics_histogram connect, open, first_byte, duration;
};

int metrics_events_new(size_t hosts, size_t containers, struct metrics_events **ret_sums)
{
	struct metrics_events *sums = calloc(1, sizeof(*sums));

	if (!sums)
		return -ENOMEM;
	(void)pthread_mutex_init(&sums->lock, NULL);
	if (metrics_hosts_init(&sums->hosts, hosts) < 0 ||
	    metrics_containers_init(&sums->containers, containers) < 0) {
		metrics_events_free(sums);
		return -ENOMEM;
	}
	*ret_sums = sums;
	return 0;
}

void metrics_events_free(struct metrics_events *sums)
{
	if (!sums)
		return;
	metrics_containers_release(&sums->containers);
	metrics_hosts_release(&sums->hosts);
	(void)pthread_mutex_destroy(&sums->lock);
	free(sums);
}

static struct outcome *find(struct metrics_events *sums, uint8_t end, uint16_t gateway_status,
			    const char *reason)
{
	size_t i;

	for (i = 0; i < sums->outcome_count; i++) {
		struct outcome *outcome = &sums->outcomes[i];

		if (outcome->end == end && outcome->gateway_status == gateway_status &&
		    strcmp(outcome->reason, reason) == 0)
			return outcome;
	}
	return NULL;
}

/* May the namespace add an outcome? @container: its place, or NULL. */
static bool has_share(const struct metrics_events *sums, struct metrics_container *container)
{
	if (sums->outcome_count >= METRICS_OUTCOMES_MAX)
		return false;
	if (sums->containers.limit == 0)
		return true;
	return container && container->outcomes++ < METRICS_CONTAINER_OUTCOMES;
}

/* Returns the outcome, which is added if it is new. A gateway may answer with any status. Behind
 * the limits there is one outcome for each end. */
static struct outcome *find_or_add(struct metrics_events *sums, struct metrics_container *container,
				   uint8_t end, uint16_t gateway_status, const char *reason)
{
	struct outcome *outcome = find(sums, end, gateway_status, reason);

	if (!outcome && !has_share(sums, container)) {
		gateway_status = 0;
		reason = other;
		outcome = find(sums, end, gateway_status, reason);
	}
	if (outcome)
		return outcome;
	outcome = &sums->outcomes[sums->outcome_count++];
	outcome->end = end;
	outcome->gateway_status = gateway_status;
	(void)snprintf(outcome->reason, sizeof(outcome->reason), "%s", reason);
	return outcome;
}

/* An event's reason, if it looks like one. */
static const char *reason_of(const struct event *event)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
	const char *reason = event->text[EVENT_REASON];
	size_t length = reason ? strlen(reason) : 0;

	return length > 0 && length < sizeof(((struct outcome *)0)->reason) &&
			       strspn(reason, letters) == length
		       ? reason
		       : other;
}

static bool is_gateway_error(const char *reason)
{
	/* As proxy/worker.c counts them. */
	static const char *const reasons[] = {
		"gateway_unreachable", "gateway_connect_timeout", "no_local_port",
		"gateway_vanished",    "gateway_answer_timeout",  "gateway_hung_up",
		"gateway_not_http",    "gateway_undeclared",	  "gateway_socket_failed",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(reasons); i++)
		if (strcmp(reason, reasons[i]) == 0)
			return true;
	return false;
}

static void add_totals(uint64_t *totals, const struct event *event, const char *reason,
		       uint64_t sent, uint64_t received)
{
	bool failed_tls = strncmp(reason, "tls_", 4) == 0;

	totals[METRICS_CONNECTIONS_ACCEPTED]++;
	totals[METRICS_CONNECTIONS_REFUSED] += event->end == EVENT_END_LIMIT;
	totals[METRICS_CONNECTIONS_TUNNELLED] += event->gateway_status / 100 == 2;
	totals[METRICS_GATEWAY_ERRORS] += is_gateway_error(reason);
	totals[METRICS_GATEWAY_REFUSALS] += strcmp(reason, "gateway_refused") == 0;
	totals[METRICS_SENT_BYTES] += sent;
	totals[METRICS_RECEIVED_BYTES] += received;
	totals[METRICS_TLS_HANDSHAKES] += event->intercepted && !failed_tls;
	totals[METRICS_TLS_FAILURES] += failed_tls;
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
	return value < limit ? value : limit;
}

static void add_time(struct metrics_histogram *histogram, uint32_t duration_us)
{
	if (duration_us != EVENT_NEVER)
		metrics_histogram_add(histogram, duration_us);
}

static void take_connection(struct metrics_events *sums, const struct event *event)
{
	uint16_t status = event->gateway_status;
	const char *reason = reason_of(event), *name = event->text[EVENT_NAME];
	uint64_t sent = at_most(event->bytes_sent, BYTES_MAX);
	uint64_t received = at_most(event->bytes_received, BYTES_MAX);
	struct metrics_container *container;

	add_time(&sums->connect, event->connect_us);
	add_time(&sums->open, event->open_us);
	add_time(&sums->first_byte, event->first_byte_us);
	metrics_histogram_add(&sums->duration, at_most(event->duration_ms, DURATION_MAX) * 1000);
	if (status < STATUS_MIN || status > STATUS_MAX)
		status = 0;
	if (name && !hostname_valid(name, strlen(name)))
		name = NULL;
	(void)pthread_mutex_lock(&sums->lock);
	container = metrics_containers_find(&sums->containers, event->netns);
	find_or_add(sums, container, event->end, status, reason)->count++;
	add_totals(sums->totals, event, reason, sent, received);
	metrics_hosts_add(&sums->hosts, name, sent, received);
	if (container) {
		container->ends[event->end]++;
		container->sent += sent;
		container->received += received;
	}
	(void)pthread_mutex_unlock(&sums->lock);
}

static void take_dns(struct metrics_events *sums, const struct event *event)
{
	const char *reason = reason_of(event);
	bool made_up = strcmp(reason, "dns_made_up") == 0;

	(void)pthread_mutex_lock(&sums->lock);
	sums->totals[METRICS_DNS_FAILURES] += strcmp(reason, "dns_resolver_failed") == 0 ||
					      strcmp(reason, "dns_malformed") == 0;
	sums->dns[event->rcode % RCODES][made_up]++;
	(void)pthread_mutex_unlock(&sums->lock);
}

static void take(void *context, const struct event *event)
{
	if (event->type == EVENT_CONNECTION)
		take_connection(context, event);
	else if (event->type == EVENT_DNS)
		take_dns(context, event);
}

struct event_sink metrics_events_sink(struct metrics_events *sums)
{
	return (struct event_sink) {.context = sums, .take = take};
}

static void visit_host(void *context, const char *name, const struct metrics_traffic *traffic)
{
	metrics_add(context, METRICS_HOST_CONNECTIONS, &name, (double)traffic->connections);
	metrics_add(context, METRICS_HOST_SENT_BYTES, &name, (double)traffic->sent);
	metrics_add(context, METRICS_HOST_RECEIVED_BYTES, &name, (double)traffic->received);
}

static void collect_outcomes(const struct metrics_events *sums, struct metrics_set *set)
{
	size_t i;

	for (i = 0; i < sums->outcome_count; i++) {
		const struct outcome *outcome = &sums->outcomes[i];
		char status[8];

		(void)snprintf(status, sizeof(status), "%u", outcome->gateway_status);
		metrics_add(set, METRICS_CONNECTIONS,
			    (const char *[]) {outcome->end ? event_end_names[outcome->end] : "none",
					      outcome->gateway_status ? status : "none",
					      outcome->reason},
			    (double)outcome->count);
	}
}

static void collect_dns(const struct metrics_events *sums, struct metrics_set *set)
{
	static const char *const rcodes[RCODES] = {"noerror",  "formerr", "servfail",
						   "nxdomain", "notimp",  "refused"};
	size_t rcode, made_up;

	for (rcode = 0; rcode < RCODES; rcode++) {
		char number[8];

		(void)snprintf(number, sizeof(number), "%zu", rcode);
		for (made_up = 0; made_up < 2; made_up++)
			if (sums->dns[rcode][made_up] > 0)
				metrics_add(set, METRICS_DNS_ANSWERS,
					    (const char *[]) {rcodes[rcode] ? rcodes[rcode]
									    : number,
							      made_up ? "true" : "false"},
					    (double)sums->dns[rcode][made_up]);
	}
}

void metrics_events_collect(struct metrics_events *sums, struct metrics_set *set)
{
	metrics_add_histogram(set, METRICS_CONNECT_TIME, &sums->connect);
	metrics_add_histogram(set, METRICS_OPEN_TIME, &sums->open);
	metrics_add_histogram(set, METRICS_FIRST_BYTE_TIME, &sums->first_byte);
	metrics_add_histogram(set, METRICS_DURATION, &sums->duration);
	(void)pthread_mutex_lock(&sums->lock);
	collect_outcomes(sums, set);
	collect_dns(sums, set);
	metrics_hosts_each(&sums->hosts, visit_host, set);
	(void)pthread_mutex_unlock(&sums->lock);
}

void metrics_events_collect_totals(struct metrics_events *sums, struct metrics_set *set)
{
	static const enum metrics_name names[] = {
		METRICS_CONNECTIONS_ACCEPTED,  METRICS_CONNECTIONS_REFUSED,
		METRICS_CONNECTIONS_TUNNELLED, METRICS_GATEWAY_ERRORS,
		METRICS_GATEWAY_REFUSALS,      METRICS_SENT_BYTES,
		METRICS_RECEIVED_BYTES,	       METRICS_DNS_FAILURES,
		METRICS_TLS_HANDSHAKES,	       METRICS_TLS_FAILURES,
	};
	size_t i;

	(void)pthread_mutex_lock(&sums->lock);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		metrics_add(set, names[i], NULL, (double)sums->totals[names[i]]);
	(void)pthread_mutex_unlock(&sums->lock);
}

void metrics_events_collect_container(struct metrics_events *sums, uint64_t netns, const char *name,
				      struct metrics_set *set)
{
	(void)pthread_mutex_lock(&sums->lock);
	metrics_containers_collect(&sums->containers, netns, name, set);
	(void)pthread_mutex_unlock(&sums->lock);
}

void metrics_events_end_containers(struct metrics_events *sums)
{
	(void)pthread_mutex_lock(&sums->lock);
	metrics_containers_end(&sums->containers);
	(void)pthread_mutex_unlock(&sums->lock);
}
