// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_session.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/process.h"
#include "lib/util.h"

/* The event stream starts with the events of the last seconds, see session_open(). */
#define EVENTS_OVERLAP_S 2
/* The longest pause between two reads of the state. */
#define PAUSE_MAX_MS 1000
#define IDLE_MS	     60000
/* docker_session_read_after() reads at most this many times later than asked for. */
#define SETTLE_LATE_FACTOR 4

/* Returns up to a quarter of the pause, so that watchers which lost the engine together do not come
 * back together. */
static unsigned int jitter_ms(unsigned int backoff_ms)
{
	return (unsigned int)(clock_ns() / 1000) % (backoff_ms / 4 + 1);
}

static void session_close(struct docker_session *session)
{
	size_t i;

	docker_request_remove(&session->events);
	for (i = 0; i < DOCKER_STATE_PATHS; i++)
		docker_request_remove(&session->answers[i]);
	if (session->watcher->closed)
		session->watcher->closed(session->context);
	session->read_wanted = false;
	session->reading = false;
	session->settle_ms = 0;
	session->settle_late_ms = 0;
	session->state = DOCKER_SESSION_WAITING;
}

/* Ends the session after any error and has it start again. To connect again and read everything is
 * the one recovery that needs no proof. session->reason tells the error. */
static void session_fail(struct docker_session *session)
{
	const struct docker_session_watcher *watcher = session->watcher;
	int64_t now = (int64_t)clock_ms();
	bool news = session->reported != DOCKER_REPORTED_LOST ||
		    strcmp(session->reason, session->warned) != 0;

	/* Only a session that lasted resets the pause. Otherwise an engine that always fails at
	 * the same point would be asked ten times a second. */
	if (session->state == DOCKER_SESSION_OPEN &&
	    now - session->opened_ms >= DOCKER_RETRY_LAST_MS)
		session->backoff_ms = DOCKER_RETRY_FIRST_MS;
	session_close(session);
	session->deadline_ms = now + session->backoff_ms + jitter_ms(session->backoff_ms);
	session->backoff_ms *= 2;
	if (session->backoff_ms > DOCKER_RETRY_LAST_MS)
		session->backoff_ms = DOCKER_RETRY_LAST_MS;
	if (session->reported == DOCKER_REPORTED_CONNECTED)
		log_warning("docker: %s (trying again; the known %s stay in force)",
			    session->reason, watcher->subject);
	else
		log_write(news ? LOG_WARNING : LOG_DEBUG, "docker: %s (trying again)",
			  session->reason);
	(void)snprintf(session->warned, sizeof(session->warned), "%s", session->reason);
	if (session->reported == DOCKER_REPORTED_LOST)
		return;
	session->reported = DOCKER_REPORTED_LOST;
	watcher->connected(false, session->reason, session->context);
}

static void __attribute__((format(printf, 2, 3)))
session_fail_with(struct docker_session *session, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(session->reason, sizeof(session->reason), format, arguments);
	va_end(arguments);
	session_fail(session);
}

static void session_open(struct docker_session *session)
{
	_cleanup_free_ char *query = NULL;
	_cleanup_free_ char *filters = docker_url_encode(session->watcher->event_filters);
	long long since = (long long)time(NULL) - EVENTS_OVERLAP_S;

	/* The engine sends the answer's head before it subscribes the stream to its events (moby,
	 * api/server/router/system/system_routes.go, getEvents). An event between the two is seen
	 * only if the recent past is requested too. */
	if (filters && asprintf(&query, "since=%lld&filters=%s", since, filters) < 0)
		query = NULL;
	session->events.on_line = session->watcher->event;
	session->events.context = session->context;
	if (!query || docker_request_start(&session->events, session->api, &session->engine,
					   "/events", query) < 0) {
		session_fail_with(session, "out of memory");
		return;
	}
	session->state = DOCKER_SESSION_OPENING;
	session->deadline_ms = (int64_t)clock_ms() + DOCKER_ANSWER_TIMEOUT_MS;
}

int docker_session_get(struct docker_session *session, struct docker_request *request,
		       const char *path)
{
	int error = docker_request_start(request, session->api, &session->engine, path, NULL);

	if (error < 0)
		(void)snprintf(session->reason, sizeof(session->reason), "GET %s: %s", path,
			       strerror(-error));
	return error;
}

void docker_session_read_after(struct docker_session *session, int64_t ms)
{
	int64_t now = (int64_t)clock_ms();

	session->settle_ms = now + ms;
	if (!session->settle_late_ms)
		session->settle_late_ms = now + ms * SETTLE_LATE_FACTOR;
}

static void read_start(struct docker_session *session)
{
	const char *const *paths = session->watcher->state_paths;

	session->read_wanted = false;
	session->reading = true;
	session->read_started_ms = (int64_t)clock_ms();
	session->unanswered = 0;
	for (; session->unanswered < DOCKER_STATE_PATHS && paths[session->unanswered];
	     session->unanswered++) {
		if (docker_session_get(session, &session->answers[session->unanswered],
				       paths[session->unanswered]) < 0) {
			session_fail(session);
			return;
		}
	}
}

static bool is_state(const struct docker_session *session, const struct docker_request *request)
{
	size_t i;

	for (i = 0; i < DOCKER_STATE_PATHS; i++)
		if (request == &session->answers[i])
			return true;
	return false;
}

/* One of the requests that read_start() made is done. */
static int read_answered(struct docker_session *session, int result)
{
	size_t i;

	if (result < 0 || --session->unanswered > 0)
		return result;
	result = session->watcher->read(session->answers, session->context);
	for (i = 0; i < DOCKER_STATE_PATHS; i++)
		docker_request_remove(&session->answers[i]);
	return result;
}

void docker_session_read_finished(struct docker_session *session)
{
	int64_t now = (int64_t)clock_ms();
	int64_t took = now - session->read_started_ms;

	session->reading = false;
	/* At most half of the time is spent on reading, to spare an engine with a thousand
	 * containers in a storm of events. */
	session->read_allowed_ms = now + (took < PAUSE_MAX_MS ? took : PAUSE_MAX_MS);
	if (session->reported == DOCKER_REPORTED_CONNECTED)
		return;
	session->reported = DOCKER_REPORTED_CONNECTED;
	session->warned[0] = '\0';
	log_info("docker: watching the %s of the engine at %s", session->watcher->subject,
		 session->engine.socket_path);
	session->watcher->connected(true, NULL, session->context);
}

static void settle_timers(struct docker_session *session, int64_t now)
{
	if (session->settle_ms && now >= session->settle_ms) {
		session->settle_ms = 0;
		session->settle_late_ms = 0;
		session->read_wanted = true;
	} else if (session->settle_late_ms && now >= session->settle_late_ms) {
		session->settle_late_ms = 0;
		session->read_wanted = true;
	}
}

/* Returns when the state is to be read without an event, or 0. */
static int64_t resync_at(const struct docker_session *session)
{
	return session->resync_ms && !session->reading && session->state == DOCKER_SESSION_OPEN
		       ? session->read_started_ms + session->resync_ms
		       : 0;
}

static void session_timers(struct docker_session *session)
{
	int64_t now = (int64_t)clock_ms();

	if (session->state == DOCKER_SESSION_WAITING && now >= session->deadline_ms)
		session_open(session);
	if (session->state == DOCKER_SESSION_OPENING && session->events.open) {
		session->state = DOCKER_SESSION_OPEN;
		session->opened_ms = now;
		session->read_allowed_ms = now;
		session->read_wanted = true;
	}
	if (session->state == DOCKER_SESSION_OPENING && now >= session->deadline_ms)
		session_fail_with(session, "GET /events: no answer from %s within %d ms",
				  session->engine.socket_path, DOCKER_ANSWER_TIMEOUT_MS);
	settle_timers(session, now);
	if (resync_at(session) && now >= resync_at(session))
		session->read_wanted = true;
	if (session->state == DOCKER_SESSION_OPEN && session->read_wanted && !session->reading &&
	    now >= session->read_allowed_ms)
		read_start(session);
	if (session->state == DOCKER_SESSION_OPEN && session->watcher->work &&
	    session->watcher->work(session->context) < 0)
		session_fail(session);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return b && b < a ? b : a;
}

static int next_timeout_ms(const struct docker_session *session)
{
	int64_t until = (int64_t)clock_ms() + IDLE_MS;
	int64_t left;

	if (session->state != DOCKER_SESSION_OPEN)
		until = session->deadline_ms;
	else if (session->read_wanted && !session->reading)
		until = session->read_allowed_ms;
	until = earlier(until, session->settle_ms);
	until = earlier(until, session->settle_late_ms);
	until = earlier(until, resync_at(session));
	left = until - (int64_t)clock_ms();
	return left > 0 ? (int)left : 0;
}

/* Handles the requests that are done. A failure removes all requests. */
static void session_results(struct docker_session *session)
{
	struct docker_request *request;
	int result;

	while ((request = docker_api_next_done(session->api)) != NULL) {
		result = docker_request_result(request, session->reason);
		if (is_state(session, request))
			result = read_answered(session, result);
		else if (request != &session->events)
			result = session->watcher->answered(request, result, session->context);
		if (result < 0) {
			session_fail(session);
			return;
		}
	}
}

static void *session_run(void *argument)
{
	struct docker_session *session = argument;
	int error;

	while (!atomic_load(&session->stop)) {
		session_results(session);
		session_timers(session);
		error = docker_api_wait(session->api, next_timeout_ms(session));
		if (error == 0)
			continue;
		session_fail_with(session, "cannot wait for the engine: %s", strerror(-error));
		/* The loop must not spin on the error. */
		(void)poll(NULL, 0, 50);
	}
	session_close(session);
	return NULL;
}

static int start_thread(struct docker_session *session)
{
	int error = process_start_thread(&session->thread, session_run, session);

	if (error < 0)
		return log_errno(error, "docker: cannot start the watcher's thread");
	(void)pthread_setname_np(session->thread, session->watcher->thread_name);
	return 0;
}

int docker_session_start(struct docker_session *session, const struct docker_engine *engine,
			 const struct docker_session_watcher *watcher, void *context)
{
	size_t seed;
	int error;

	session->engine = *engine;
	session->watcher = watcher;
	session->context = context;
	/* jansson would read /dev/urandom, which is out of reach here. */
	if (getrandom(&seed, sizeof(seed), 0) == (ssize_t)sizeof(seed))
		json_object_seed(seed);
	session->backoff_ms = DOCKER_RETRY_FIRST_MS;
	error = docker_api_new(&session->api);
	if (error < 0)
		return log_errno(error, "docker: cannot start watching");
	error = start_thread(session);
	if (error < 0)
		docker_api_free(session->api);
	return error;
}

void docker_session_stop(struct docker_session *session)
{
	atomic_store(&session->stop, true);
	docker_api_wake(session->api);
	(void)pthread_join(session->thread, NULL);
	docker_api_free(session->api);
}
