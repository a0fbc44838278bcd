// SPDX-License-Identifier: Apache-2.0
#include "sidecar/sidecar_events.h"

#include <errno.h>
#include <string.h>

#include "events/event_log.h"
#include "events/event_server.h"
#include "lib/log.h"
#include "lib/run_socket.h"
#include "sidecar/sidecar_metrics.h"
#include "sidecar/sidecar_who.h"

/* A file system that cannot be written is no reason not to run. */
static int open_server(struct sidecar *sidecar, uint64_t netns)
{
	struct sidecar_events *events = &sidecar->events;
	int error;

	(void)run_socket_path("", netns, "events", events->path);
	error = event_server_new(events->events, events->path,
				 (size_t)sidecar->options->event_memory * 1024, &events->server);
	if (error == 0 || error == -ENOMEM || error == -EMFILE)
		return error;
	log_warning("events cannot be followed, because there is no socket %s: %s; give the "
		    "container a writable /run (docker run --tmpfs /run)",
		    events->path, strerror(-error));
	events->path[0] = '\0';
	return 0;
}

int sidecar_events_open(struct sidecar *sidecar)
{
	const struct sidecar_options *options = sidecar->options;
	struct sidecar_events *events = &sidecar->events;
	struct events_config config = {.netns = run_socket_netns(), .resolve = sidecar_who_resolve};
	int error;

	if (!options->event_log && options->event_memory == 0 && !sidecar->metrics.sums)
		return 0;
	config.context = events->who = sidecar_who_new(&sidecar->datapath);
	error = events->who ? events_new(&config, &events->events) : -ENOMEM;
	if (error == 0)
		error = sidecar_who_join(events->who, events->events);
	if (error == 0)
		error = sidecar_metrics_add_sinks(sidecar);
	if (error == 0 && options->event_memory > 0)
		error = open_server(sidecar, config.netns);
	if (error < 0)
		return log_errno(error, "cannot prepare the events");
	if (!options->event_log)
		return 0;
	error = event_log_new(events->events, options->event_log, EVENT_LOG_SIZE, &events->log);
	if (error < 0)
		return log_errno(error,
				 "--event-log %s: cannot open it; give a file in a folder "
				 "that can be written, - or journal",
				 options->event_log);
	return 0;
}

int sidecar_events_start(struct sidecar *sidecar)
{
	struct sidecar_events *events = &sidecar->events;
	int error;

	if (!events->events)
		return 0;
	error = events_start(events->events);
	return error < 0 ? log_errno(error, "cannot start the events' thread") : 0;
}

const char *sidecar_events_hint(const struct sidecar *sidecar)
{
	if (sidecar->events.path[0])
		return "; sidestep observe shows each";
	return sidecar->events.log ? "; the event log has each" : NULL;
}

void sidecar_events_close(struct sidecar *sidecar)
{
	struct sidecar_events *events = &sidecar->events;

	events_stop(events->events);
	sidecar_who_finish(events->who);
	event_server_free(events->server);
	event_log_free(events->log);
	sidecar_who_free(events->who);
	events_free(events->events);
	events->server = NULL;
	events->log = NULL;
	events->who = NULL;
	events->events = NULL;
}
