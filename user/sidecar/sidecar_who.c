// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_who.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "events/event_batch.h"
#include "events/event_denial.h"
#include "lib/log.h"
#include "lib/util.h"
#include "stream/loop.h"

/* Belongs to the events' thread. */
struct sidecar_who {
	struct sidecar_datapath *datapath;
	struct events *events;
	struct record_source *denials; /* NULL: somebody else reads them */
	struct loop_handler denied;
	uint32_t lost; /* records that were left out, as the latest one says */
	struct event_comm comm;
	uint64_t unreported; /* events that the agent did not get */
	unsigned int gathered;
	struct event_batch batch;
};

struct sidecar_who *sidecar_who_new(struct sidecar_datapath *datapath)
{
	struct sidecar_who *who = calloc(1, sizeof(*who));

	if (who)
		who->datapath = datapath;
	return who;
}

void sidecar_who_resolve(void *context, struct event *event)
{
	struct sidestep_flow_key key = {
		.local_port = event->source.port,
		.remote_port = event->destination.port,
		.protocol = event->protocol,
	};
	struct sidecar_who *who = context;

	/* A denied packet has its process from its record. */
	if (!event->has_ports || event->type == EVENT_DENIED)
		return;
	memcpy(key.local_address, event->source.address, sizeof(key.local_address));
	memcpy(key.remote_address, event->destination.address, sizeof(key.remote_address));
	if (event->opener.cookie == 0 &&
	    sidecar_datapath_opener(who->datapath, &key, &event->opener) < 0)
		return;
	event_set_process(event, &event->opener, &who->comm);
	event->opener.cookie = 0; /* it is told */
}

static void take_denial(void *context, const void *record)
{
	const struct sidestep_denial *denial = record;
	struct sidecar_who *who = context;
	struct event event = event_of_denial(denial), lost;
	struct event_comm comm;

	if (denial->lost != who->lost) {
		lost = events_lost(who->events, denial->lost - who->lost);
		events_put(who->events, &lost);
	}
	who->lost = denial->lost;
	/* The datapath's number is another one where the kernel has no cookies. */
	event.netns = 0;
	event_set_process(&event, &denial->process, &comm);
	events_put(who->events, &event);
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
	who->denied.ready = on_denied;
	return loop_add(events_loop(events), &who->denied, who->denials->fd, EPOLLIN);
}

void sidecar_who_free(struct sidecar_who *who)
{
	if (who && who->denials)
		who->denials->close(who->denials);
	free(who);
}
