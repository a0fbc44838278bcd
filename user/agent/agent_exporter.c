// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_exporter.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <linux/sockios.h>

#include "agent/agent_asks.h"
#include "agent/agent_figures.h"
#include "agent/agent_helper.h"
#include "datapath/rendezvous.h"
#include "events/event_batch.h"
#include "lib/hosts_file.h"
#include "lib/log.h"
#include "lib/process.h"
#include "lib/resolv_conf.h"
#include "lib/time_text.h"
#include "lib/util.h"
#include "metrics/metrics_pack.h"
#include "metrics/metrics_server.h"
#include "metrics/otlp.h"

/* The process has its own limit for the last requests. Behind that it is killed, ms. */
#define STOP_MS (OTLP_STOP_MS + 1000)
/* Events that may wait in the socket, bytes: as many as for a request. */
#define SOCKET_BUFFER OTLP_PENDING_MAX

struct agent_exporter {
	struct agent_helper helper;
	struct loop *loop;
	pthread_t thread;
	bool running;
	bool bound;		       /* the address's file, if there is one, is ours */
	struct socket_address address; /* to listen at, if the settings say so */
	struct agent_figures_settings *settings;
	void (*collect)(void *context, struct metrics_set *set);
	void *context;
	struct loop_handler asks;
	struct loop_timer stop;
	struct loop_timer_class stop_class;
	pthread_mutex_t lock;
	int events_fd;			   /* guarded by it; -1: no process runs */
	_Atomic uint64_t lost, lost_there; /* here and by earlier processes; by this one */
	/* These belong to the events' thread. */
	struct event_batch batch;
	unsigned int gathered;
};

static void flush(void *context)
{
	struct agent_exporter *exporter = context;
	struct event_batch *batch = &exporter->batch;

	if (batch->used == 0)
		return;
	(void)pthread_mutex_lock(&exporter->lock);
	if (exporter->events_fd < 0 ||
	    send(exporter->events_fd, batch->bytes, batch->used, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		exporter->lost += exporter->gathered;
	(void)pthread_mutex_unlock(&exporter->lock);
	batch->used = 0;
	exporter->gathered = 0;
}

static void take(void *context, const struct event *event)
{
	struct agent_exporter *exporter = context;

	if (!event_batch_add_labelled(&exporter->batch, event)) {
		flush(exporter);
		(void)event_batch_add_labelled(&exporter->batch, event);
	}
	exporter->gathered++;
}

struct event_sink agent_exporter_sink(struct agent_exporter *exporter)
{
	return (struct event_sink) {.context = exporter, .take = take, .flush = flush};
}

/* Returns a file with the figures of now, at its beginning, or negative errno. */
static int write_figures(const struct agent_exporter *exporter)
{
	_cleanup_close_ int fd = memfd_create("figures", MFD_CLOEXEC);
	_cleanup_free_ char *bytes = NULL;
	struct metrics_set set = {0};
	size_t size = 0;
	FILE *stream;

	if (fd < 0)
		return -errno;
	stream = open_memstream(&bytes, &size);
	if (!stream)
		return -ENOMEM;
	exporter->collect(exporter->context, &set);
	metrics_pack(stream, &set);
	metrics_set_clear(&set);
	if (fclose(stream) != 0 || pwrite(fd, bytes, size, 0) != (ssize_t)size)
		return -ENOMEM;
	return TAKE_FD(fd);
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Returns the descriptor that is asked for, or negative errno. */
static int answer(const struct agent_exporter *exporter, uint32_t type)
{
	switch (type) {
	case AGENT_FIGURES_METRICS:
		return write_figures(exporter);
	case AGENT_FIGURES_HOSTS:
		return open_file(HOSTS_FILE_PATH);
	default:
		return open_file(RESOLV_CONF_PATH);
	}
}

/* Returns what is wrong with @ask of @size bytes, or NULL. */
static const char *check(int fd, const struct agent_figures_ask *ask, size_t size)
{
	int unread = 0;

	if (size != sizeof(*ask) || ask->type >= AGENT_FIGURES_TYPES)
		return "asked for what it may not have";
	/* An honest one has taken its last answer, which would else keep memory. */
	return ioctl(fd, SIOCOUTQ, &unread) < 0 || unread > 0 ? "does not take its answers" : NULL;
}

static void asked(struct loop_handler *handler, uint32_t events)
{
	struct agent_exporter *exporter = container_of(handler, struct agent_exporter, asks);
	_cleanup_close_ int fd = -1;
	struct agent_figures_ask ask;
	const char *wrong;
	ssize_t size = agent_asks_take(handler->fd, &ask, sizeof(ask));

	(void)events;
	if (size == 0)
		return;
	if (size < 0) {
		agent_helper_violated(&exporter->helper, NULL);
		return;
	}
	wrong = check(handler->fd, &ask, (size_t)size);
	if (!wrong) {
		exporter->lost_there = ask.lost;
		fd = answer(exporter, ask.type);
		wrong = agent_asks_answer(handler->fd, fd);
	}
	if (wrong)
		agent_helper_violated(&exporter->helper, wrong);
}

/* Ends the events. The process sends what it has, and ends. */
static void end_events(struct agent_exporter *exporter)
{
	(void)pthread_mutex_lock(&exporter->lock);
	exporter->events_fd = safe_close(exporter->events_fd);
	(void)pthread_mutex_unlock(&exporter->lock);
}

static void hang_up(struct agent_helper *helper)
{
	struct agent_exporter *exporter = container_of(helper, struct agent_exporter, helper);

	loop_close(&exporter->asks);
	end_events(exporter);
	exporter->lost += atomic_exchange(&exporter->lost_there, 0);
}

static void ended(struct agent_helper *helper)
{
	if (helper->leaving)
		loop_stop(helper->loop);
}

/* The settings come before the first event. */
static int connect_to(struct agent_exporter *exporter, int news_fd, int asks_fd)
{
	const struct agent_figures_settings *settings = exporter->settings;
	_cleanup_close_ int news = news_fd, asks = asks_fd;
	const int buffer = SOCKET_BUFFER;
	int error;

	/* With the default a burst of events would be cut. */
	(void)setsockopt(news, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	error = rendezvous_send(news, settings, agent_figures_settings_size(settings->allow_count),
				-1, MSG_DONTWAIT);
	if (error == 0)
		error = loop_add(exporter->loop, &exporter->asks, asks, EPOLLIN);
	if (error < 0)
		return error;
	(void)TAKE_FD(asks);
	(void)pthread_mutex_lock(&exporter->lock);
	exporter->events_fd = TAKE_FD(news);
	(void)pthread_mutex_unlock(&exporter->lock);
	return 0;
}

/* The listener is the process's alone, and each has a new one. */
static int start(struct agent_helper *helper)
{
	static char program[] = "sidestep", command[] = "agent-exporter";
	struct agent_exporter *exporter = container_of(helper, struct agent_exporter, helper);
	char level[] = {(char)('0' + log_level()), '\0'};
	char *arguments[] = {program, command, level, NULL};
	_cleanup_close_ int listener = -1;
	int news_fd = -1, asks_fd = -1, error;

	if (exporter->settings->serves) {
		listener = metrics_server_listen(&exporter->address);
		if (listener < 0)
			return listener;
		exporter->bound = true;
	}
	error = agent_helper_spawn(helper,
				   &(struct agent_spawn_config) {.arguments = arguments,
								 .network = true,
								 .listener_fd = listener},
				   &news_fd, &asks_fd);
	if (error < 0)
		return error;
	error = connect_to(exporter, news_fd, asks_fd);
	if (error == 0)
		return 0;
	agent_helper_end(helper);
	return log_errno(error, "%s: cannot talk to %s", helper->handler->topic,
			 helper->handler->name);
}

static const struct agent_helper_handler helper_handler = {
	.topic = "metrics",
	.name = "the exporter",
	.meanwhile = "events that it had not sent are lost",
	.start = start,
	.hang_up = hang_up,
	.ended = ended,
};

static void stop_expired(struct loop_timer *timer)
{
	struct agent_exporter *exporter = container_of(timer, struct agent_exporter, stop);

	log_warning("%s: %s takes too long to end, and is killed", helper_handler.topic,
		    helper_handler.name);
	agent_helper_violated(&exporter->helper, NULL);
}

static void woken(void *context)
{
	struct agent_exporter *exporter = context;

	exporter->helper.leaving = true;
	if (!agent_helper_runs(&exporter->helper)) {
		loop_stop(exporter->loop);
		return;
	}
	end_events(exporter);
	loop_timer_start(exporter->loop, &exporter->stop_class, &exporter->stop);
}

static void *run(void *context)
{
	struct agent_exporter *exporter = context;
	int error = loop_run(exporter->loop);

	if (error < 0)
		(void)log_errno(error, "event loop of the metrics failed; restart sidestep");
	return NULL;
}

static int read_otlp(const struct agent_options *options, struct agent_figures_settings *settings)
{
	struct otlp_config config;
	int error;

	if (!otlp_options_given(&options->otlp))
		return 0;
	error = otlp_options_read(&options->otlp, &config);
	if (error < 0)
		return error;
	settings->sends = true;
	settings->url = config.url;
	settings->headers = config.headers;
	settings->interval_ms = config.interval_ms;
	settings->start_ns = time_text_now() * 1000;
	if (config.ca && strlen(config.ca) >= sizeof(settings->ca))
		return log_errno(-ENAMETOOLONG, "--otlp-ca");
	(void)snprintf(settings->ca, sizeof(settings->ca), "%s", config.ca ? config.ca : "");
	return otlp_check(&config);
}

static int read_options(struct agent_exporter *exporter, const struct agent_options *options)
{
	size_t count = options->metrics_allow.count;
	struct agent_figures_settings *settings = calloc(1, agent_figures_settings_size(count));

	exporter->settings = settings;
	if (!settings)
		return log_errno(-ENOMEM, "cannot prepare the metrics");
	settings->serves = options->metrics_listen != NULL;
	settings->allow_count = count;
	if (count > 0)
		memcpy(settings->allow, options->metrics_allow.values,
		       count * sizeof(*settings->allow));
	if (settings->serves) {
		int error = metrics_server_parse(options->metrics_listen, false, count,
						 &exporter->address);

		if (error < 0)
			return error;
	}
	return read_otlp(options, settings);
}

int agent_exporter_new(const struct agent_options *options,
		       void (*collect)(void *context, struct metrics_set *set), void *context,
		       struct agent_exporter **ret_exporter)
{
	struct agent_exporter *exporter = calloc(1, sizeof(*exporter));
	int error;

	if (!exporter)
		return log_errno(-ENOMEM, "cannot prepare the metrics");
	(void)pthread_mutex_init(&exporter->lock, NULL);
	exporter->events_fd = -1;
	exporter->asks = (struct loop_handler) {.fd = -1, .ready = asked};
	exporter->stop.expired = stop_expired;
	exporter->collect = collect;
	exporter->context = context;
	error = read_options(exporter, options);
	if (error == 0) {
		exporter->loop = loop_new();
		error = exporter->loop ? 0 : log_errno(-errno, "cannot prepare the metrics");
	}
	if (error < 0) {
		agent_exporter_free(exporter);
		return error;
	}
	agent_helper_init(&exporter->helper, exporter->loop, &helper_handler);
	loop_timer_class_init(exporter->loop, &exporter->stop_class, STOP_MS);
	loop_on_wake(exporter->loop, woken, exporter);
	*ret_exporter = exporter;
	return 0;
}

int agent_exporter_start(struct agent_exporter *exporter)
{
	int error = start(&exporter->helper);

	if (error < 0)
		return error;
	error = process_start_thread(&exporter->thread, run, exporter);
	if (error < 0)
		return log_errno(error, "cannot start the thread of the metrics");
	exporter->running = true;
	return 0;
}

uint64_t agent_exporter_lost(const struct agent_exporter *exporter)
{
	return exporter->lost + exporter->lost_there;
}

void agent_exporter_free(struct agent_exporter *exporter)
{
	if (!exporter)
		return;
	if (exporter->running) {
		loop_wake(exporter->loop);
		(void)pthread_join(exporter->thread, NULL);
	}
	if (exporter->loop) {
		agent_helper_end(&exporter->helper);
		loop_flush(exporter->loop);
		loop_free(exporter->loop);
	}
	if (exporter->bound)
		metrics_server_unlink(&exporter->address);
	(void)pthread_mutex_destroy(&exporter->lock);
	free(exporter->settings);
	free(exporter);
}
