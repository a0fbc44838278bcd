// SPDX-License-Identifier: Apache-2.0
#include "metrics/metrics_events.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "metrics/metrics_hosts.h"

/* The response codes of a DNS header (RFC 1035 section 4.1.1). */
#define RCODES 16

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
	struct metrics_hosts hosts;
	struct metrics_histogram connect, open, first_byte, duration;
};

int metrics_events_new(size_t hosts, struct metrics_events **ret_sums)
{
	struct metrics_events *sums = calloc(1, sizeof(*sums));

	if (!sums)
		return -ENOMEM;
	if (metrics_hosts_init(&sums->hosts, hosts) < 0) {
		free(sums);
		return -ENOMEM;
	}
	(void)pthread_mutex_init(&sums->lock, NULL);
	*ret_sums = sums;
	return 0;
}

void metrics_events_free(struct metrics_events *sums)
{
	if (!sums)
		return;
	metrics_hosts_release(&sums->hosts);
	(void)pthread_mutex_destroy(&sums->lock);
	free(sums);
}

/* Returns the outcome, which is added if it is new. */
static struct outcome *find(struct metrics_events *sums, uint8_t end, uint16_t gateway_status,
			    const char *reason)
{
	struct outcome *outcome;
	size_t i;

	for (i = 0; i < sums->outcome_count; i++) {
		outcome = &sums->outcomes[i];
		if (outcome->end == end && outcome->gateway_status == gateway_status &&
		    strcmp(outcome->reason, reason) == 0)
			return outcome;
	}
	/* A gateway may answer with any status. Behind the limit there is one outcome for each end.
	 */
	if (sums->outcome_count >= METRICS_OUTCOMES_MAX && strcmp(reason, "other") != 0)
		return find(sums, end, 0, "other");
	outcome = &sums->outcomes[sums->outcome_count++];
	outcome->end = end;
	outcome->gateway_status = gateway_status;
	(void)snprintf(outcome->reason, sizeof(outcome->reason), "%s", reason);
	return outcome;
}

static void add_time(struct metrics_histogram *histogram, uint32_t duration_us)
{
	if (duration_us != EVENT_NEVER)
		metrics_histogram_add(histogram, duration_us);
}

static void take_connection(struct metrics_events *sums, const struct event *event)
{
	const char *reason = event->text[EVENT_REASON];

	add_time(&sums->connect, event->connect_us);
	add_time(&sums->open, event->open_us);
	add_time(&sums->first_byte, event->first_byte_us);
	metrics_histogram_add(&sums->duration, event->duration_ms * 1000);
	(void)pthread_mutex_lock(&sums->lock);
	find(sums, event->end, event->gateway_status, reason ? reason : "other")->count++;
	metrics_hosts_add(&sums->hosts, event->text[EVENT_NAME], event->bytes_sent,
			  event->bytes_received);
	(void)pthread_mutex_unlock(&sums->lock);
}

static void take_dns(struct metrics_events *sums, const struct event *event)
{
	const char *reason = event->text[EVENT_REASON];
	bool made_up = reason && strcmp(reason, "dns_made_up") == 0;

	(void)pthread_mutex_lock(&sums->lock);
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
			    (const char *[]) {event_end_names[outcome->end],
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
