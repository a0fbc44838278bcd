// SPDX-License-Identifier: Apache-2.0
#include "metrics/otlp.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>

#include "lib/log.h"
#include "lib/process.h"
#include "lib/time_text.h"
#include "lib/util.h"
#include "metrics/otlp_json.h"
#include "metrics/otlp_request.h"
#include "metrics/otlp_retry.h"
#include "metrics/otlp_target.h"
#include "metrics/otlp_tls.h"

struct otlp {
	struct otlp_config config;
	struct loop *loop;
	struct dialer dialer;
	struct otlp_target target;
	SSL_CTX *tls; /* NULL: without TLS */
	struct otlp_request request;
	struct loop_timer_class tick_class, stop_class;
	struct loop_timer tick, stop;
	pthread_t thread;
	bool running, stopping;
	unsigned int failures; /* in a row */
	int told;	       /* the status of the last failure that was logged; 0: none */
	uint64_t start_ns, metrics_due_ms;
	uint64_t pause_end_ms; /* no request is sent before */
	/* The events of the present request, which is kept until the collector has it. */
	char *events;
	size_t events_size;
	unsigned int event_count;
	pthread_mutex_t collection;
	bool metrics_over; /* guarded by it */
	bool sends_events; /* the request under way has them, and not metrics */
	pthread_mutex_t lock;
	char *pending; /* log records with commas between them */
	size_t pending_size, pending_room;
	unsigned int pending_count;
	_Atomic uint64_t lost;
};

static uint64_t realtime_ns(void)
{
	return time_text_now() * 1000;
}

/* Appends a record with its comma. Returns false: there is no room. */
static bool append(struct otlp *otlp, const char *record, size_t size)
{
	size_t room = otlp->pending_room ? otlp->pending_room : 64 * 1024;
	char *pending;

	if (size + 1 > OTLP_PENDING_MAX - otlp->pending_size)
		return false;
	while (room < otlp->pending_size + size + 1)
		room *= 2;
	if (room > otlp->pending_room) {
		pending = realloc(otlp->pending, room);
		if (!pending)
			return false;
		otlp->pending = pending;
		otlp->pending_room = room;
	}
	if (otlp->pending_size > 0)
		otlp->pending[otlp->pending_size++] = ',';
	memcpy(otlp->pending + otlp->pending_size, record, size);
	otlp->pending_size += size;
	otlp->pending_count++;
	return true;
}

/* Runs in the events' thread. */
static void take(void *context, const struct event *event)
{
	struct otlp *otlp = context;
	_cleanup_free_ char *record = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&record, &size);
	bool taken = false;

	if (stream) {
		otlp_json_event(stream, event);
		if (fclose(stream) == 0) {
			(void)pthread_mutex_lock(&otlp->lock);
			taken = append(otlp, record, size);
			(void)pthread_mutex_unlock(&otlp->lock);
		}
	}
	otlp->lost += !taken;
}

struct event_sink otlp_sink(struct otlp *otlp)
{
	return (struct event_sink) {.context = otlp, .take = take};
}

/* Takes all pending events for the next request. */
static void take_pending(struct otlp *otlp)
{
	(void)pthread_mutex_lock(&otlp->lock);
	otlp->events = otlp->pending;
	otlp->events_size = otlp->pending_size;
	otlp->event_count = otlp->pending_count;
	otlp->pending = NULL;
	otlp->pending_size = otlp->pending_room = 0;
	otlp->pending_count = 0;
	(void)pthread_mutex_unlock(&otlp->lock);
}

static void forget_events(struct otlp *otlp)
{
	free(otlp->events);
	otlp->events = NULL;
	otlp->events_size = 0;
	otlp->event_count = 0;
}

/* Holds the lock of the collection, so that its end waits for one that runs. Returns false if there
 * are no figures. */
static bool write_metrics(struct otlp *otlp, FILE *stream)
{
	const struct otlp_times times = {otlp->start_ns, realtime_ns()};
	struct metrics_set set = {0};
	bool any;

	(void)pthread_mutex_lock(&otlp->collection);
	if (!otlp->metrics_over)
		otlp->config.collect(otlp->config.context, &set);
	(void)pthread_mutex_unlock(&otlp->collection);
	any = set.count > 0;
	metrics_set_finish(&set);
	otlp_json_metrics(stream, &set, &times);
	metrics_set_clear(&set);
	return any;
}

static void answered(struct otlp_request *request, const struct otlp_answer *answer);

/* Sends it to the collector, whose name may have to be looked up. Returns false: no memory. */
static bool send_body(struct otlp *otlp, const char *path, const char *body, size_t size)
{
	struct socket_address address;
	struct otlp_answer none = {.later = ""};

	none.status = otlp_target_find(&otlp->target, &address);
	if (none.status == 0)
		return otlp_request_send(&otlp->request, &address, path, body, size);
	if (none.status == -ENOENT)
		none.cause = "its name has no address";
	else if (none.status == -EXDEV)
		none.cause =
			"its name has other addresses than at the start, which the application may have forged";
	answered(&otlp->request, &none);
	return true;
}

/* Begins the next request that is due. Returns false if there is none, or it cannot begin. */
static bool send_next(struct otlp *otlp)
{
	bool metrics = !otlp->stopping && loop_now(otlp->loop) >= otlp->metrics_due_ms;
	_cleanup_free_ char *body = NULL;
	size_t size = 0;
	FILE *stream;

	if (!metrics && !otlp->events)
		take_pending(otlp);
	if (!metrics && otlp->events_size == 0) {
		forget_events(otlp);
		return false;
	}
	stream = open_memstream(&body, &size);
	if (!stream)
		return false;
	if (metrics && !write_metrics(otlp, stream)) {
		otlp->metrics_due_ms = loop_now(otlp->loop) + otlp->config.interval_ms;
		(void)fclose(stream);
		return false;
	}
	if (!metrics) {
		otlp_json_begin_logs(stream);
		(void)fwrite(otlp->events, 1, otlp->events_size, stream);
		otlp_json_end_logs(stream);
	}
	otlp->sends_events = !metrics;
	return fclose(stream) == 0 &&
	       send_body(otlp, metrics ? "/v1/metrics" : "/v1/logs", body, size);
}

static void send_all(struct otlp *otlp)
{
	if (otlp_request_busy(&otlp->request) ||
	    (loop_now(otlp->loop) < otlp->pause_end_ms && !otlp->stopping))
		return;
	if (!send_next(otlp) && otlp->stopping)
		loop_stop(otlp->loop);
}

static void tell(const struct otlp *otlp, const struct otlp_answer *answer, bool later)
{
	const char *host = otlp->config.url.host;
	char text[128];

	if (answer->status < 0)
		log_warning("otlp: no answer of the collector %s: %s; events wait, and are sent "
			    "later",
			    host,
			    answer->cause ? answer->cause
					  : strerror_r(-answer->status, text, sizeof(text)));
	else
		log_warning("otlp: the collector %s answered %d%s", host, answer->status,
			    later ? "; events wait, and are sent later" : "");
}

/* Notes that the collector cannot be reached, or is busy. */
static void pause_requests(struct otlp *otlp, const struct otlp_answer *answer)
{
	uint32_t chance = 0;

	(void)!getrandom(&chance, sizeof(chance), 0);
	if (answer->status < 0)
		otlp_target_failed(&otlp->target);
	otlp->pause_end_ms = loop_now(otlp->loop) +
			     otlp_retry_pause(otlp->failures,
					      otlp_retry_after(answer->later, time(NULL)), chance);
}

/* A collector that cannot be reached or is busy is asked again. Another refusal is final. */
static void answered(struct otlp_request *request, const struct otlp_answer *answer)
{
	struct otlp *otlp = container_of(request, struct otlp, request);
	bool done = answer->status >= 200 && answer->status < 300;
	bool later = otlp_retry_wanted(answer->status);

	if (!done && answer->status != otlp->told)
		tell(otlp, answer, later);
	else if (done && otlp->failures > 0)
		log_info("otlp: the collector %s answers again", otlp->config.url.host);
	otlp->told = done ? 0 : answer->status;
	otlp->failures = done ? 0 : otlp->failures + 1;
	if (later) {
		pause_requests(otlp, answer);
		if (otlp->stopping)
			loop_stop(otlp->loop);
		return;
	}
	if (otlp->sends_events) {
		otlp->lost += done ? 0 : otlp->event_count;
		forget_events(otlp);
	} else {
		otlp->metrics_due_ms = loop_now(otlp->loop) + otlp->config.interval_ms;
	}
	/* A final refusal ends a batch, and the next may go. */
	send_all(otlp);
}

static void ticked(struct loop_timer *timer)
{
	struct otlp *otlp = container_of(timer, struct otlp, tick);

	loop_timer_start(otlp->loop, &otlp->tick_class, &otlp->tick);
	send_all(otlp);
}

static void stop_expired(struct loop_timer *timer)
{
	loop_stop(container_of(timer, struct otlp, stop)->loop);
}

/* The end: the events that are left are sent. */
static void woken(void *context)
{
	struct otlp *otlp = context;

	otlp->stopping = true;
	loop_timer_start(otlp->loop, &otlp->stop_class, &otlp->stop);
	send_all(otlp);
}

static void *run(void *context)
{
	struct otlp *otlp = context;
	struct socket_address address;
	int error;

	/* The application comes soon, and the first lookup counts. */
	(void)otlp_target_find(&otlp->target, &address);
	loop_timer_start(otlp->loop, &otlp->tick_class, &otlp->tick);
	error = loop_run(otlp->loop);
	if (error < 0)
		(void)log_errno(error, "event loop of --otlp failed; restart sidestep");
	return NULL;
}

/* Opens what the thread needs. Files cannot be opened later. */
static int prepare(struct otlp *otlp)
{
	const struct otlp_config *config = &otlp->config;
	struct otlp_request_config request = {
		.url = &config->url,
		.headers = &config->headers,
		.dialer = &otlp->dialer,
		.announcer = &config->announcer,
	};
	int error;

	otlp->loop = loop_new();
	otlp->target.lookup.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!otlp->loop || otlp->target.lookup.stop_fd < 0)
		return log_errno(-errno, "cannot prepare --otlp");
	if (config->url.tls) {
		error = otlp_tls_new(config->ca, &otlp->tls);
		if (error < 0)
			return error;
	}
	request.tls = otlp->tls;
	dialer_init(&otlp->dialer, otlp->loop, OTLP_DIAL_MS);
	loop_timer_class_init(otlp->loop, &otlp->tick_class, OTLP_TICK_MS);
	loop_timer_class_init(otlp->loop, &otlp->stop_class, OTLP_STOP_MS);
	loop_on_wake(otlp->loop, woken, otlp);
	error = otlp_request_init(&otlp->request, &request, answered);
	return error < 0 ? log_errno(error, "cannot prepare --otlp") : 0;
}

int otlp_check(const struct otlp_config *config)
{
	SSL_CTX *tls = NULL;
	int error = config->url.tls ? otlp_tls_new(config->ca, &tls) : 0;

	SSL_CTX_free(tls);
	return error;
}

int otlp_new(const struct otlp_config *config, struct otlp **ret_otlp)
{
	struct otlp *otlp = calloc(1, sizeof(*otlp));
	int error;

	if (!otlp)
		return log_errno(-ENOMEM, "cannot prepare --otlp");
	otlp->config = *config;
	otlp->target = (struct otlp_target) {
		.url = &otlp->config.url,
		.lookup = {.announcer = config->announcer},
		.application = config->application,
	};
	otlp->request.side.fd = -1;
	otlp->start_ns = config->start_ns ? config->start_ns : realtime_ns();
	otlp->tick.expired = ticked;
	otlp->stop.expired = stop_expired;
	(void)pthread_mutex_init(&otlp->lock, NULL);
	(void)pthread_mutex_init(&otlp->collection, NULL);
	error = prepare(otlp);
	if (error < 0) {
		otlp_free(otlp);
		return error;
	}
	*ret_otlp = otlp;
	return 0;
}

int otlp_start(struct otlp *otlp)
{
	int error = process_start_thread(&otlp->thread, run, otlp);

	if (error < 0)
		return log_errno(error, "cannot start the thread of --otlp");
	otlp->running = true;
	return 0;
}

void otlp_end_metrics(struct otlp *otlp)
{
	(void)pthread_mutex_lock(&otlp->collection);
	otlp->metrics_over = true;
	(void)pthread_mutex_unlock(&otlp->collection);
}

void otlp_stop(struct otlp *otlp)
{
	if (!otlp->running)
		return;
	(void)eventfd_write(otlp->target.lookup.stop_fd, 1);
	loop_wake(otlp->loop);
	(void)pthread_join(otlp->thread, NULL);
	otlp->running = false;
}

void otlp_free(struct otlp *otlp)
{
	if (!otlp)
		return;
	otlp_stop(otlp);
	otlp_request_release(&otlp->request);
	if (otlp->loop)
		loop_flush(otlp->loop);
	loop_free(otlp->loop);
	otlp_target_release(&otlp->target);
	(void)safe_close(otlp->target.lookup.stop_fd);
	SSL_CTX_free(otlp->tls);
	forget_events(otlp);
	free(otlp->pending);
	(void)pthread_mutex_destroy(&otlp->lock);
	(void)pthread_mutex_destroy(&otlp->collection);
	free(otlp);
}

uint64_t otlp_lost(const struct otlp *otlp)
{
	return otlp->lost;
}

bool otlp_looks_up(const struct otlp *otlp)
{
	return otlp && otlp->config.url.name[0] != '\0';
}
