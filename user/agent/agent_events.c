// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_events.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/agent_processes.h"
#include "events/event_batch.h"
#include "events/event_denial.h"
#include "events/event_denials.h"
#include "events/event_labels.h"
#include "events/event_server.h"
#include "lib/log.h"
#include "lib/util.h"
#include "programs/programs_maps.h"
#include "programs/programs_records.h"

/* A sidecar's messages in a row, before others get their turn. */
#define REPORT_BURST 4
/* The same at its end. Its socket's buffer holds fewer. */
#define REPORT_DRAIN_MAX 64
/* The most events that a sidecar may have lost at once, for a sum that others share. */
#define LOST_MAX UINT32_MAX
/* Packed events that are remembered for readers, bytes. */
#define MEMORY (16 * 1024 * 1024)

struct name {
	char id[65], name[64];
	char *labels; /* in JSON; NULL: there was no memory */
};

struct agent_events {
	struct loop *loop;
	struct programs *programs;
	struct agent_processes *processes;
	struct events *events;
	struct event_server *server;
	struct record_source *denials, *starters;
	struct loop_handler denied, started;
	struct event_denials *repeats;
	/* Records that were left out, by budget (bpf/budget.h), as far as it was told. */
	uint32_t lost[SIDESTEP_MAX_NAMESPACES];
	_Atomic uint64_t lost_before;
	char message[EVENT_BATCH_MAX]; /* a sidecar's */
	pthread_mutex_t lock;
	struct name *names; /* and labels of containers, guarded by the lock */
	size_t name_count;
	/* Of the event in progress, in the events' thread. */
	struct agent_process process;
	struct event_comm comm;
	struct name container;
	char labels[EVENT_LABELS_MAX + 1];
};

static void names_free(struct name *names, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		free(names[i].labels);
	free(names);
}

static void flow_of(const struct event *event, struct sidestep_flow_key *ret_key)
{
	*ret_key = (struct sidestep_flow_key) {
		.local_port = event->source.port,
		.remote_port = event->destination.port,
		.protocol = event->protocol,
	};
	memcpy(ret_key->local_address, event->source.address, sizeof(ret_key->local_address));
	memcpy(ret_key->remote_address, event->destination.address,
	       sizeof(ret_key->remote_address));
}

/* An application names no container, because engines name its control group. */
static void set_container(struct agent_events *events, struct event *event)
{
	struct name *container = &events->container;
	size_t i;

	if (!event->text[EVENT_CGROUP] ||
	    !agent_container_of(event->text[EVENT_CGROUP], container->id))
		return;
	event->text[EVENT_CONTAINER_ID] = container->id;
	(void)pthread_mutex_lock(&events->lock);
	for (i = 0; i < events->name_count; i++) {
		const struct name *known = &events->names[i];

		if (strcmp(known->id, container->id) != 0)
			continue;
		memcpy(container->name, known->name, sizeof(container->name));
		event->text[EVENT_CONTAINER_NAME] = container->name;
		(void)snprintf(events->labels, sizeof(events->labels), "%s",
			       known->labels ? known->labels : "{}");
		event->text[EVENT_CONTAINER_LABELS] = events->labels;
		break;
	}
	(void)pthread_mutex_unlock(&events->lock);
}

static void set_program(struct event *event, const struct agent_process *process)
{
	event->text[EVENT_EXE] = process->exe[0] ? process->exe : NULL;
	event->text[EVENT_CGROUP] = process->cgroup[0] ? process->cgroup : NULL;
}

/* Finds the process of a connection. */
static void set_process(struct agent_events *events, struct event *event)
{
	struct sidestep_process opener;
	struct sidestep_flow_key key;

	flow_of(event, &key);
	if (programs_opener_find(events->programs, (uint32_t)event->netns, &key, &opener) < 0)
		return;
	event_set_process(event, &opener, &events->comm);
	if (!agent_processes_find(events->processes, &opener, &events->process))
		return;
	set_program(event, &events->process);
}

/* Called in the events' thread. */
static void resolve(void *context, struct event *event)
{
	if (event->type == EVENT_LOST)
		return;
	/* A denied packet has its process from its record. */
	if (event->type != EVENT_DENIED)
		set_process(context, event);
	set_container(context, event);
}

static void put_lost(struct agent_events *events, uint64_t netns, uint32_t count)
{
	struct event event = event_of(EVENT_LOST);

	event.netns = netns;
	event.count = count;
	events->lost_before += count;
	events_put(events->events, &event);
}

static void put_denial(void *context, const struct sidestep_denial *denial, uint64_t time_us,
		       uint64_t packets)
{
	struct agent_events *events = context;
	struct event event = event_of_denial(denial);
	uint32_t lost = event_denials_lost(denial,
					   &events->lost[event.netns % SIDESTEP_MAX_NAMESPACES]);
	struct agent_process process;
	struct event_comm comm;

	if (lost > 0)
		put_lost(events, event.netns, lost);
	event.time_us = time_us;
	event.count = packets;
	event_set_process(&event, &denial->process, &comm);
	if (agent_processes_find(events->processes, &denial->process, &process))
		set_program(&event, &process);
	events_put(events->events, &event);
}

/* Remembers the process, which may be gone when the event is put. */
static void take_denial(void *context, const void *record)
{
	const struct sidestep_denial *denial = record;
	struct agent_events *events = context;
	struct agent_process process;

	(void)agent_processes_find(events->processes, &denial->process, &process);
	event_denials_add(events->repeats, denial);
}

static void on_denied(struct loop_handler *handler, uint32_t ready)
{
	struct agent_events *events = container_of(handler, struct agent_events, denied);

	(void)ready;
	events->denials->read(events->denials, take_denial, events);
}

/* Remembers the process, which may be gone when its connection ends. */
static void take_starter(void *context, const void *record)
{
	struct agent_events *events = context;
	struct agent_process process;

	(void)agent_processes_find(events->processes, record, &process);
}

static void on_started(struct loop_handler *handler, uint32_t ready)
{
	struct agent_events *events = container_of(handler, struct agent_events, started);

	(void)ready;
	events->starters->read(events->starters, take_starter, events);
}

static int watch(struct agent_events *events)
{
	int error;

	events->repeats = event_denials_new(events->loop, put_denial, events);
	if (!events->repeats)
		return -ENOMEM;
	error = programs_denials_open(events->programs, &events->denials);
	if (error == 0)
		error = programs_starters_open(events->programs, &events->starters);
	events->denied.ready = on_denied;
	if (error == 0)
		error = loop_add(events->loop, &events->denied, events->denials->fd, EPOLLIN);
	events->started.ready = on_started;
	if (error == 0)
		error = loop_add(events->loop, &events->started, events->starters->fd, EPOLLIN);
	return error;
}

/* Another process may have the path. The agent's work does not depend on readers. */
static int serve(struct agent_events *events, const char *path)
{
	int error = event_server_new(events->events, path, MEMORY, &events->server);

	if (error == -ENOMEM || error == -EMFILE)
		return error;
	if (error < 0)
		log_warning("cannot serve events at %s: %s", path, strerror(-error));
	return 0;
}

int agent_events_new(struct loop *loop, struct programs *programs, uint32_t home, const char *path,
		     const struct event_sink *sinks, size_t sink_count,
		     struct agent_events **ret_events)
{
	struct agent_events *events = calloc(1, sizeof(*events));
	struct events_config config = {.netns = home, .resolve = resolve, .context = events};
	size_t i;
	int error;

	if (!events)
		return log_errno(-ENOMEM, "cannot collect events");
	events->loop = loop;
	events->programs = programs;
	(void)pthread_mutex_init(&events->lock, NULL);
	events->processes = agent_processes_new();
	error = events->processes ? events_new(&config, &events->events) : -ENOMEM;
	if (error == 0)
		error = serve(events, path);
	for (i = 0; i < sink_count && error == 0; i++)
		error = events_add_sink(events->events, &sinks[i]);
	if (error == 0)
		error = events_start(events->events);
	if (error == 0)
		error = watch(events);
	if (error < 0) {
		agent_events_free(events);
		return log_errno(error, "cannot collect events");
	}
	*ret_events = events;
	return 0;
}

void agent_events_seen(struct agent_events *events, const struct agent_seen *seen, size_t count)
{
	struct name *names = calloc(count + 1, sizeof(*names)), *former;
	char labels[EVENT_LABELS_MAX + 1];
	size_t former_count, i;

	if (!names)
		return;
	for (i = 0; i < count; i++) {
		memcpy(names[i].id, seen[i].id, sizeof(names[i].id));
		memcpy(names[i].name, seen[i].name, sizeof(names[i].name));
		event_labels_write(seen[i].labels, sizeof(seen[i].labels), labels);
		names[i].labels = strdup(labels);
	}
	(void)pthread_mutex_lock(&events->lock);
	former = events->names;
	former_count = events->name_count;
	events->names = names;
	events->name_count = count;
	(void)pthread_mutex_unlock(&events->lock);
	names_free(former, former_count);
}

void agent_events_counters(struct agent_events *events, struct agent_events_counters *ret_counters)
{
	events_counters(events->events, &ret_counters->own);
	ret_counters->lost_before = events->lost_before;
}

void agent_events_stop(struct agent_events *events)
{
	if (!events)
		return;
	event_denials_flush(events->repeats);
	events_stop(events->events);
}

void agent_events_free(struct agent_events *events)
{
	if (!events)
		return;
	agent_events_stop(events);
	event_server_free(events->server);
	events_free(events->events);
	if (events->denials)
		events->denials->close(events->denials);
	if (events->starters)
		events->starters->close(events->starters);
	event_denials_free(events->repeats);
	agent_processes_free(events->processes);
	(void)pthread_mutex_destroy(&events->lock);
	names_free(events->names, events->name_count);
	free(events);
}

/*
 * A sidecar says what became of a connection. Namespace, process and container are the agent's to
 * tell, and the agent's programs themselves tell of denied packets.
 */
static void take_report(void *context, struct event *event)
{
	const struct agent_report *report = context;

	if (event->type == EVENT_DENIED)
		return;
	if (event->type == EVENT_LOST)
		report->events->lost_before += event->count < LOST_MAX ? event->count : LOST_MAX;
	event->netns = report->netns;
	event->time_us = 0;
	event->pid = 0;
	event->text[EVENT_COMM] = NULL;
	event->text[EVENT_EXE] = NULL;
	event->text[EVENT_CGROUP] = NULL;
	event->text[EVENT_CONTAINER_ID] = NULL;
	event->text[EVENT_CONTAINER_NAME] = NULL;
	event->text[EVENT_CONTAINER_LABELS] = NULL;
	events_put(report->events->events, event);
}

/* Returns 1 if more may wait, 0 if none does, or -1: nothing comes any more. */
static int receive(struct agent_report *report)
{
	char *message = report->events->message;
	ssize_t size = recv(report->handler.fd, message, EVENT_BATCH_MAX, MSG_DONTWAIT);

	if (size < 0 && errno == EAGAIN)
		return 0;
	/* A sidecar that sends anything else is not heard any more. */
	return size > 0 && event_batch_each(message, (size_t)size, take_report, report) ? 1 : -1;
}

static void on_report(struct loop_handler *handler, uint32_t ready)
{
	struct agent_report *report = container_of(handler, struct agent_report, handler);
	int i, more = 1;

	(void)ready;
	for (i = 0; i < REPORT_BURST && more > 0; i++)
		more = receive(report);
	if (more < 0)
		agent_report_close(report);
}

void agent_report_drain(struct agent_report *report)
{
	int i;

	for (i = 0; i < REPORT_DRAIN_MAX && report->handler.fd >= 0 && receive(report) > 0; i++)
		;
	agent_report_close(report);
}

int agent_report_open(struct agent_report *report, struct agent_events *events, uint32_t netns,
		      int fd)
{
	int domain = 0, type = 0, error;
	socklen_t int_size = sizeof(int);
	_cleanup_close_ int own = -1;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &int_size) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &int_size) < 0 || domain != AF_UNIX ||
	    type != SOCK_SEQPACKET)
		return -EINVAL;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return -errno;
	agent_report_close(report);
	report->events = events;
	report->netns = netns;
	report->handler.ready = on_report;
	error = loop_add(events->loop, &report->handler, own, EPOLLIN);
	if (error == 0)
		(void)TAKE_FD(own);
	return error;
}

void agent_report_close(struct agent_report *report)
{
	loop_close(&report->handler);
}
