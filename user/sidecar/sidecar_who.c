// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_who.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "events/event_batch.h"
#include "events/event_denial.h"
#include "events/event_denials.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/time_text.h"
#include "lib/util.h"
#include "stream/loop.h"

/* Belongs to the events' thread. */
struct sidecar_who {
	struct sidecar_datapath *datapath;
	struct events *events;
	struct record_source *denials; /* NULL: somebody else reads them */
	struct loop_handler denied;
	struct event_denials *repeats;
	uint32_t lost; /* records that were left out, as far as it was told */
	struct event_comm comm;
	struct sidecar_tenants tenants;
	struct sidecar_container container; /* of the event in progress */
	uint64_t unreported;		    /* events that the agent did not get */
	unsigned int gathered;
	struct event_batch batch;
};

struct sidecar_who *sidecar_who_new(struct sidecar_datapath *datapath)
{
	struct sidecar_who *who = calloc(1, sizeof(*who));

	if (!who)
		return NULL;
	who->datapath = datapath;
	/* Behind a bridge each container has a namespace of its own, and the kernel does not tell
	 * whose packet it is. */
	if (datapath->options->docker_socket && !datapath->bridge)
		sidecar_tenants_init(&who->tenants);
	return who;
}

struct sidecar_tenants *sidecar_who_tenants(struct sidecar_who *who)
{
	return who && who->tenants.owner[0] ? &who->tenants : NULL;
}

/* When the event's flow began (CLOCK_MONOTONIC, ns). */
static uint64_t beginning_of(const struct event *event)
{
	uint64_t age_us = time_text_now() - event->time_us;

	return clock_ns() - age_us * 1000 - event->duration_ms * 1000000;
}

/* The containers that are known, and the flow's control group tell its container. */
static void set_container(struct sidecar_who *who, struct event *event)
{
	if (!sidecar_tenants_find(&who->tenants, event->opener.cgroup, beginning_of(event),
				  &who->container))
		return;
	event->text[EVENT_CONTAINER_ID] = who->container.id;
	event->text[EVENT_CONTAINER_NAME] = who->container.name;
	event->text[EVENT_CONTAINER_LABELS] = who->container.labels;
}

void sidecar_who_resolve(void *context, struct event *event)
{
	struct sidestep_flow_key key = {
		.local_port = event->source.port,
		.remote_port = event->destination.port,
		.protocol = event->protocol,
	};
	struct sidecar_who *who = context;

	if (event->type != EVENT_DENIED && !event->has_ports)
		return;
	memcpy(key.local_address, event->source.address, sizeof(key.local_address));
	memcpy(key.remote_address, event->destination.address, sizeof(key.remote_address));
	/* A denied packet has its process from its record. */
	if (event->type != EVENT_DENIED && event->opener.cookie == 0 &&
	    sidecar_datapath_opener(who->datapath, &key, &event->opener) < 0)
		return;
	event_set_process(event, &event->opener, &who->comm);
	if (sidecar_who_tenants(who))
		set_container(who, event);
	event->opener.cookie = 0; /* it is told */
}

static void put_denial(void *context, const struct sidestep_denial *denial, uint64_t time_us,
		       uint64_t packets)
{
	struct sidecar_who *who = context;
	uint32_t count = event_denials_lost(denial, &who->lost);
	struct event event = event_of_denial(denial), lost;

	if (count > 0) {
		lost = events_lost(who->events, count);
		events_put(who->events, &lost);
	}
	event.time_us = time_us;
	event.count = packets;
	/* The datapath's number is another one where the kernel has no cookies. */
	event.netns = 0;
	event.opener = denial->process;
	events_put(who->events, &event);
}

static void take_denial(void *context, const void *record)
{
	const struct sidecar_who *who = context;

	event_denials_add(who->repeats, record);
}

static void on_denied(struct loop_handler *handler, uint32_t ready)
{
	struct sidecar_who *who = container_of(handler, struct sidecar_who, denied);

	(void)ready;
	who->denials->read(who->denials, take_denial, who);
}

/* Sends the batch to the agent, which loses it if it does not keep up. */
static void flush(void *context)
{
	struct sidecar_who *who = context;
	struct event_batch *batch = &who->batch;

	if (batch->used == 0)
		return;
	if (sidecar_datapath_report(who->datapath, batch->bytes, batch->used) == -EAGAIN)
		who->unreported += who->gathered;
	batch->used = 0;
	who->gathered = 0;
}

static void report(void *context, const struct event *event)
{
	struct sidecar_who *who = context;

	if (!sidecar_datapath_wants_reports(who->datapath))
		return;
	if (who->gathered == 0 && who->unreported > 0) {
		const struct event lost = events_lost(who->events, who->unreported);

		(void)event_batch_add(&who->batch, &lost);
		who->unreported = 0;
	}
	if (!event_batch_add(&who->batch, event)) {
		flush(who);
		(void)event_batch_add(&who->batch, event);
	}
	who->gathered++;
}

int sidecar_who_join(struct sidecar_who *who, struct events *events)
{
	const struct event_sink sink = {.context = who, .take = report, .flush = flush};
	int error = events_add_sink(events, &sink);

	who->events = events;
	if (error < 0)
		return error;
	error = datapath_open_denials(who->datapath->current, &who->denials);
	if (error < 0) {
		if (error != -EOPNOTSUPP)
			log_debug("denied packets make no events: %s", strerror(-error));
		return 0;
	}
	who->repeats = event_denials_new(events_loop(events), put_denial, who);
	if (!who->repeats)
		return -ENOMEM;
	who->denied.ready = on_denied;
	return loop_add(events_loop(events), &who->denied, who->denials->fd, EPOLLIN);
}

void sidecar_who_finish(struct sidecar_who *who)
{
	if (!who || !who->repeats)
		return;
	who->denials->read(who->denials, take_denial, who);
	event_denials_flush(who->repeats);
	events_drain(who->events);
}

void sidecar_who_free(struct sidecar_who *who)
{
	if (!who)
		return;
	if (who->denials)
		who->denials->close(who->denials);
	event_denials_free(who->repeats);
	sidecar_tenants_release(&who->tenants);
	free(who);
}
