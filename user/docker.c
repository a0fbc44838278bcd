// SPDX-License-Identifier: Apache-2.0
#include "docker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>

#include "cleanup.h"
#include "docker_api.h"
#include "docker_json.h"
#include "log.h"

/* The events of this many seconds before are asked for as well, see session_start(). */
#define EVENTS_OVERLAP_S 2
/* However long reading took, the next one is not put off by more than this. */
#define PAUSE_MAX_MS 1000
/* When a DOCKER_EVENT_CHANGING has had its effect, with much to spare. */
#define SETTLE_MS 250
#define IDLE_MS	  60000

enum session_state {
	SESSION_WAITING, /* to connect again, at the deadline */
	SESSION_OPENING, /* the event stream was asked for; given up at the deadline */
	SESSION_OPEN,	 /* the event stream is there */
};

enum reported_state {
	REPORTED_NOTHING,
	REPORTED_LOST,
	REPORTED_CONNECTED,
};

/* Of the thread alone, but for .stop and what docker_watch_new() sets before it starts. */
struct docker_watch {
	char socket_path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	const struct docker_watch_handler *handler;
	void *context;
	struct docker_api *api;
	pthread_t thread;
	atomic_bool stop;

	enum session_state state;
	enum reported_state reported;
	int64_t deadline_ms;
	int64_t opened_ms;
	unsigned int backoff_ms;

	struct docker_request events;
	struct docker_request networks;
	struct docker_request containers;
	bool fetch_wanted;
	int64_t settle_ms;	    /* when to read once more; 0: no need */
	unsigned int fetch_pending; /* of networks and containers: how many are not done */
	int64_t fetch_started_ms;
	int64_t fetch_allowed_ms;

	char reason[DOCKER_REASON_MAX];
	char warned[DOCKER_REASON_MAX]; /* the reason that was last shown */
};

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Up to a quarter: watchers that lost the engine together need not come back together. */
static unsigned int jitter_ms(unsigned int backoff_ms)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned int)(now.tv_nsec / 1000) % (backoff_ms / 4 + 1);
}

static void session_close(struct docker_watch *watch)
{
	docker_request_remove(&watch->events);
	docker_request_remove(&watch->networks);
	docker_request_remove(&watch->containers);
	watch->fetch_wanted = false;
	watch->settle_ms = 0;
	watch->fetch_pending = 0;
	watch->state = SESSION_WAITING;
}

/* Every trouble ends here: a fresh start with everything read anew is the one way back that needs
 * no proof. watch->reason says why. */
static void session_fail(struct docker_watch *watch)
{
	int64_t now = now_ms();
	bool news = watch->reported != REPORTED_LOST || strcmp(watch->reason, watch->warned) != 0;

	/* Only a session that lasted starts the count again, or an engine that always fails at the
	 * same point would be asked ten times a second. */
	if (watch->state == SESSION_OPEN && now - watch->opened_ms >= DOCKER_RETRY_LAST_MS)
		watch->backoff_ms = DOCKER_RETRY_FIRST_MS;
	session_close(watch);
	watch->deadline_ms = now + watch->backoff_ms + jitter_ms(watch->backoff_ms);
	watch->backoff_ms *= 2;
	if (watch->backoff_ms > DOCKER_RETRY_LAST_MS)
		watch->backoff_ms = DOCKER_RETRY_LAST_MS;
	log_write(news ? LOG_WARNING : LOG_DEBUG, "docker: %s (trying again%s)", watch->reason,
		  watch->reported == REPORTED_CONNECTED
			  ? "; the networks known so far stay in force"
			  : "");
	(void)snprintf(watch->warned, sizeof(watch->warned), "%s", watch->reason);
	if (watch->reported == REPORTED_LOST)
		return;
	watch->reported = REPORTED_LOST;
	if (watch->handler->connected)
		watch->handler->connected(false, watch->reason, watch->context);
}

static void __attribute__((format(printf, 2, 3)))
session_fail_with(struct docker_watch *watch, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(watch->reason, sizeof(watch->reason), format, arguments);
	va_end(arguments);
	session_fail(watch);
}

static int receive_event(const char *line, size_t size, void *context)
{
	struct docker_watch *watch = context;
	enum docker_event_effect effect;
	int error = docker_parse_event(line, size, &effect, watch->reason);

	if (error < 0)
		return error;
	if (effect != DOCKER_EVENT_NOTHING)
		watch->fetch_wanted = true;
	if (effect == DOCKER_EVENT_CHANGING)
		watch->settle_ms = now_ms() + SETTLE_MS;
	return 0;
}

static void session_start(struct docker_watch *watch)
{
	_cleanup_free_ char *query = NULL;
	_cleanup_free_ char *filters = docker_url_encode(docker_event_filters());
	long long since = (long long)time(NULL) - EVENTS_OVERLAP_S;

	/* The engine sends the answer's head before it subscribes the stream to its events (moby,
	 * api/server/router/system/system_routes.go, getEvents): what happens between the two is
	 * only seen when the recent past is asked for as well. */
	if (filters && asprintf(&query, "since=%lld&filters=%s", since, filters) < 0)
		query = NULL;
	watch->events.on_line = receive_event;
	watch->events.context = watch;
	if (!query || docker_request_start(&watch->events, watch->api, watch->socket_path,
					   "/events", query) < 0) {
		session_fail_with(watch, "out of memory");
		return;
	}
	watch->state = SESSION_OPENING;
	watch->deadline_ms = now_ms() + DOCKER_ANSWER_TIMEOUT_MS;
}

static void fetch_start(struct docker_watch *watch)
{
	watch->fetch_wanted = false;
	watch->fetch_started_ms = now_ms();
	watch->fetch_pending = 2;
	if (docker_request_start(&watch->networks, watch->api, watch->socket_path, "/networks",
				 NULL) < 0 ||
	    docker_request_start(&watch->containers, watch->api, watch->socket_path,
				 "/containers/json", NULL) < 0)
		session_fail_with(watch, "out of memory");
}

static void fetch_finish(struct docker_watch *watch)
{
	struct docker_network *networks;
	int64_t now = now_ms();
	int64_t took = now - watch->fetch_started_ms;
	size_t count;
	int error;

	error = docker_parse_state(watch->networks.body.data, watch->networks.body.used,
				   watch->containers.body.data, watch->containers.body.used,
				   &networks, &count, watch->reason);
	if (error < 0) {
		session_fail(watch);
		return;
	}
	docker_request_remove(&watch->networks);
	docker_request_remove(&watch->containers);
	/* At most half of the time is spent on asking: in a storm of events an engine with a
	 * thousand containers has better things to do. */
	watch->fetch_allowed_ms = now + (took < PAUSE_MAX_MS ? took : PAUSE_MAX_MS);
	if (watch->reported != REPORTED_CONNECTED) {
		watch->reported = REPORTED_CONNECTED;
		watch->warned[0] = '\0';
		log_info("docker: watching the engine at %s", watch->socket_path);
		if (watch->handler->connected)
			watch->handler->connected(true, NULL, watch->context);
	}
	watch->handler->networks(networks, count, watch->context);
	docker_networks_free(networks, count);
}

static void session_timers(struct docker_watch *watch)
{
	int64_t now = now_ms();

	if (watch->state == SESSION_WAITING && now >= watch->deadline_ms)
		session_start(watch);
	if (watch->state == SESSION_OPENING && watch->events.open) {
		watch->state = SESSION_OPEN;
		watch->opened_ms = now;
		watch->fetch_allowed_ms = now;
		watch->fetch_wanted = true;
	}
	if (watch->state == SESSION_OPENING && now >= watch->deadline_ms)
		session_fail_with(watch, "GET /events: no answer from %s within %d ms",
				  watch->socket_path, DOCKER_ANSWER_TIMEOUT_MS);
	if (watch->settle_ms && now >= watch->settle_ms) {
		watch->settle_ms = 0;
		watch->fetch_wanted = true;
	}
	if (watch->state == SESSION_OPEN && watch->fetch_wanted && watch->fetch_pending == 0 &&
	    now >= watch->fetch_allowed_ms)
		fetch_start(watch);
}

static int next_timeout_ms(const struct docker_watch *watch)
{
	int64_t until = now_ms() + IDLE_MS;
	int64_t left;

	if (watch->state != SESSION_OPEN)
		until = watch->deadline_ms;
	else if (watch->fetch_wanted && watch->fetch_pending == 0)
		until = watch->fetch_allowed_ms;
	if (watch->settle_ms && watch->settle_ms < until)
		until = watch->settle_ms;
	left = until - now_ms();
	return left > 0 ? (int)left : 0;
}

/* What has finished. A failure removes all requests, and ends this with them. */
static void session_results(struct docker_watch *watch)
{
	struct docker_request *request;

	while ((request = docker_api_next_done(watch->api)) != NULL) {
		if (docker_request_result(request, watch->reason) < 0) {
			session_fail(watch);
			return;
		}
		if (--watch->fetch_pending == 0)
			fetch_finish(watch);
	}
}

static void *watch_run(void *argument)
{
	struct docker_watch *watch = argument;
	int error;

	while (!atomic_load(&watch->stop)) {
		session_results(watch);
		session_timers(watch);
		error = docker_api_wait(watch->api, next_timeout_ms(watch));
		if (error == 0)
			continue;
		session_fail_with(watch, "cannot wait for the engine: %s", strerror(-error));
		/* Whatever it was, this loop must not spin on it. */
		(void)poll(NULL, 0, 50);
	}
	session_close(watch);
	return NULL;
}

static int set_socket_path(struct docker_watch *watch, const char *path)
{
	if (!path || !*path)
		path = DOCKER_SOCKET_DEFAULT;
	if (strncmp(path, "unix://", 7) == 0)
		path += 7;
	if (strstr(path, "://")) {
		log_error(
			"docker: %.200s: only unix sockets are supported; for example: " DOCKER_SOCKET_DEFAULT,
			path);
		return -EINVAL;
	}
	if (strlen(path) >= sizeof(watch->socket_path))
		return log_errno(-ENAMETOOLONG, "docker: socket path %.200s", path);
	memcpy(watch->socket_path, path, strlen(path) + 1);
	return 0;
}

static int start_thread(struct docker_watch *watch)
{
	sigset_t all, before;
	int error;

	/* Signals are the main thread's. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&watch->thread, NULL, watch_run, watch);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error != 0)
		return log_errno(-error, "docker: cannot start the watcher's thread");
	(void)pthread_setname_np(watch->thread, "docker-watch");
	return 0;
}

int docker_watch_new(const char *socket_path, const struct docker_watch_handler *handler,
		     void *context, struct docker_watch **ret_watch)
{
	struct docker_watch *watch = calloc(1, sizeof(*watch));
	int error = -ENOMEM;

	if (!watch)
		return log_errno(error, "docker: cannot start watching");
	watch->handler = handler;
	watch->context = context;
	watch->backoff_ms = DOCKER_RETRY_FIRST_MS;
	error = set_socket_path(watch, socket_path);
	if (error == 0) {
		error = docker_api_new(&watch->api);
		error = error == 0 ? start_thread(watch)
				   : log_errno(error, "docker: cannot start watching");
	}
	if (error < 0) {
		docker_api_free(watch->api);
		free(watch);
		return error;
	}
	*ret_watch = watch;
	return 0;
}

void docker_watch_free(struct docker_watch *watch)
{
	if (!watch)
		return;
	atomic_store(&watch->stop, true);
	docker_api_wake(watch->api);
	(void)pthread_join(watch->thread, NULL);
	docker_api_free(watch->api);
	free(watch);
}
