// SPDX-License-Identifier: Apache-2.0
/*
 * `sidestep agent-exporter`: the agent's process without rights that serves its metrics and sends
 * them to a collector. The agent executes it (agent_spawn.h), so it has no options.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "agent/agent_asks.h"
#include "agent/agent_figures.h"
#include "agent/agent_spawn.h"
#include "commands.h"
#include "datapath/rendezvous.h"
#include "events/event_batch.h"
#include "lib/confine.h"
#include "lib/hosts_file.h"
#include "lib/log.h"
#include "lib/name_files.h"
#include "lib/process.h"
#include "lib/sandbox.h"
#include "lib/util.h"
#include "metrics/metrics_pack.h"
#include "metrics/metrics_server.h"
#include "metrics/otlp.h"

/* The threads share this. The server's and the exporter's ask in turns, so that each gets its own
 * answer. */
static struct {
	struct metrics_server *server; /* NULL: nobody asks */
	struct otlp *otlp;	       /* NULL: no collector */
	pthread_mutex_t turn;
} exporter = {.turn = PTHREAD_MUTEX_INITIALIZER};

/* Returns the descriptor that the agent answers with, or negative errno. */
static int ask_agent(uint32_t type)
{
	const struct agent_figures_ask ask = {
		.type = type,
		.lost = exporter.otlp ? otlp_lost(exporter.otlp) : 0,
	};
	struct agent_answer answer = {.error = 0};
	int fd = -1, error;

	(void)pthread_mutex_lock(&exporter.turn);
	error = rendezvous_send(AGENT_HELPER_ASKS_FD, &ask, sizeof(ask), -1, 0);
	if (error == 0)
		error = rendezvous_receive(AGENT_HELPER_ASKS_FD, &answer, sizeof(answer), &fd, 0);
	(void)pthread_mutex_unlock(&exporter.turn);
	if (error < 0)
		return error;
	return answer.error < 0 ? answer.error : fd;
}

static int open_name_file(const char *path)
{
	return ask_agent(strcmp(path, HOSTS_FILE_PATH) == 0 ? AGENT_FIGURES_HOSTS
							    : AGENT_FIGURES_RESOLVERS);
}

static void collect(void *context, struct metrics_set *set)
{
	int fd = ask_agent(AGENT_FIGURES_METRICS);
	_cleanup_fclose_ FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");

	(void)context;
	if (!stream)
		(void)safe_close(fd);
	else if (!metrics_unpack(stream, set))
		metrics_set_clear(set);
}

/* Returns the agent's first message, which the caller frees, or NULL. */
static struct agent_figures_settings *read_settings(void)
{
	ssize_t size = recv(AGENT_HELPER_NEWS_FD, NULL, 0, MSG_PEEK | MSG_TRUNC);
	struct agent_figures_settings *settings;

	if (size < (ssize_t)sizeof(*settings))
		return NULL;
	settings = malloc((size_t)size);
	if (settings && recv(AGENT_HELPER_NEWS_FD, settings, (size_t)size, 0) == size)
		return settings;
	free(settings);
	return NULL;
}

/* The files with the CAs are read here, while the process still has some. */
static int prepare(const struct agent_figures_settings *settings)
{
	const struct metrics_server_config serving = {
		.allow = settings->allow,
		.allow_count = settings->allow_count,
		.collect = collect,
	};
	const struct otlp_config sending = {
		.url = settings->url,
		.headers = settings->headers,
		.ca = settings->ca[0] ? settings->ca : NULL,
		.interval_ms = settings->interval_ms,
		.start_ns = settings->start_ns,
		.collect = collect,
	};
	int error = 0;

	if (settings->serves)
		error = metrics_server_adopt(&serving, AGENT_HELPER_LISTENER_FD, &exporter.server);
	if (error == 0 && settings->sends)
		error = otlp_new(&sending, &exporter.otlp);
	return error;
}

/* Gives up all rights, and starts the threads. */
static int begin(void)
{
	const struct sandbox sandbox = {.role = SANDBOX_EXPORTER};
	int error = confine_process();

	if (error < 0)
		return error;
	name_files_from(open_name_file);
	sandbox_files(&sandbox);
	if (exporter.server)
		error = metrics_server_start(exporter.server);
	if (error == 0 && exporter.otlp)
		error = otlp_start(exporter.otlp);
	/* No thread starts after this. */
	if (error == 0)
		sandbox_calls(&sandbox);
	return error;
}

static void take(void *context, struct event *event)
{
	const struct event_sink *sink = context;

	sink->take(sink->context, event);
}

/* Takes the agent's events, until it has no more. */
static void follow(void)
{
	static char message[EVENT_BATCH_MAX];
	struct event_sink sink = {.take = NULL};
	ssize_t size;

	if (exporter.otlp)
		sink = otlp_sink(exporter.otlp);
	while ((size = recv(AGENT_HELPER_NEWS_FD, message, sizeof(message), 0)) != 0) {
		if (size > 0 && exporter.otlp)
			(void)event_batch_each_labelled(message, (size_t)size, take, &sink);
		else if (size < 0 && errno != EINTR)
			break;
	}
}

int command_agent_exporter(int argc, char **argv)
{
	struct agent_figures_settings *settings;
	int error;

	process_hide_memory();
	if (argc != 2 || strlen(argv[1]) != 1 || !agent_spawned()) {
		log_error("agent-exporter is a part of `sidestep agent`, which starts it");
		return STATUS_USAGE;
	}
	log_set_level((enum log_level)(argv[1][0] - '0'));
	(void)prctl(PR_SET_NAME, "exporter");
	settings = read_settings();
	if (!settings)
		return STATUS_FAILED;
	error = prepare(settings);
	if (error == 0)
		error = begin();
	if (error == 0)
		follow();
	metrics_server_free(exporter.server);
	otlp_free(exporter.otlp);
	free(settings);
	return error < 0 ? STATUS_FAILED : STATUS_OK;
}
