/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection of a watcher to a Docker engine. A thread keeps the event stream open and reads
 * the engine's whole state whenever the watcher wants it. After any error it connects again and
 * reads everything again. Only docker_networks and docker_sidecars use it; they interpret the
 * state.
 */
#ifndef SIDESTEP_DOCKER_SESSION_H
#define SIDESTEP_DOCKER_SESSION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "docker/docker_api.h"
#include "docker/docker_json.h"

/* The first pause before a new connection. It doubles up to the last one. */
#define DOCKER_RETRY_FIRST_MS 100
#define DOCKER_RETRY_LAST_MS  5000

/* Requests whose answers make up the whole state, at most. */
#define DOCKER_STATE_PATHS 2

/*
 * Defines a watcher. The session's thread calls all functions. Those with a result return 0, or a
 * negative errno with its text in session.reason; the session then starts again.
 */
struct docker_session_watcher {
	const char *subject;	   /* for messages: "networks" */
	const char *thread_name;   /* at most 15 bytes */
	const char *event_filters; /* GET /events' parameter "filters", not URL encoded */
	/* GET of these paths returns the whole state. Unused ones are NULL. */
	const char *state_paths[DOCKER_STATE_PATHS];
	/* Gets an event. It must not start requests, which only .work may do. */
	docker_line_handler *event;
	/* Gets the answers from .state_paths, in their order. It ends with
	 * docker_session_read_finished(), which may be called later than this returns. Until then
	 * the state is not read again. */
	int (*read)(const struct docker_request *answers, void *context);
	/* Gets a request of the watcher's own that is done. @result is docker_request_result()'s.
	 * NULL: the watcher starts none. */
	int (*answered)(struct docker_request *request, int result, void *context);
	/* Is called after each round of events and answers while the stream is open. May be NULL.
	 */
	int (*work)(void *context);
	/* The session ends. The watcher removes its own requests. May be NULL. */
	void (*closed)(void *context);
	/* As in struct docker_networks_handler; @context is the watcher's. */
	void (*connected)(bool connected, const char *reason, void *context);
};

enum docker_session_state {
	DOCKER_SESSION_WAITING, /* connects again at the deadline */
	DOCKER_SESSION_OPENING, /* waits for the event stream until the deadline */
	DOCKER_SESSION_OPEN,	/* the event stream is open */
};

enum docker_session_reported {
	DOCKER_REPORTED_NOTHING,
	DOCKER_REPORTED_LOST,
	DOCKER_REPORTED_CONNECTED,
};

/* Zeroed before docker_session_start(). Watchers only use .resync_ms and .reason. */
struct docker_session {
	/* The whole state is read this long after the last time, because some engines have no
	 * events for networks (Podman 4.3); 0: never. */
	int64_t resync_ms;
	struct docker_engine engine;
	const struct docker_session_watcher *watcher;
	void *context;
	struct docker_api *api;
	pthread_t thread;
	atomic_bool stop;

	enum docker_session_state state;
	enum docker_session_reported reported;
	int64_t deadline_ms; /* this and the other times: CLOCK_MONOTONIC */
	int64_t opened_ms;
	unsigned int backoff_ms;

	struct docker_request events;
	struct docker_request answers[DOCKER_STATE_PATHS];
	unsigned int unanswered; /* how many of .answers are not done */
	bool read_wanted;
	bool reading;
	int64_t settle_ms;	/* when to read once more; 0: never */
	int64_t settle_late_ms; /* when to read although events go on; 0: never */
	int64_t read_started_ms;
	int64_t read_allowed_ms;

	char reason[DOCKER_REASON_MAX];
	char warned[DOCKER_REASON_MAX]; /* the reason that was logged last */
};

/* Starts the thread. *@engine is copied. Returns 0, -ENOMEM or -EAGAIN (no thread), logged; after
 * an error nothing is left. */
int docker_session_start(struct docker_session *session, const struct docker_engine *engine,
			 const struct docker_session_watcher *watcher, void *context);

/* Ends the thread like docker_networks_free(), but does not free @session. */
void docker_session_stop(struct docker_session *session);

/* The following are called from the session's thread. */

/* Starts GET @path. Returns 0, or a negative errno with its text in session.reason. */
int docker_session_get(struct docker_session *session, struct docker_request *request,
		       const char *path);

/* Was the whole state read since the connection was made? */
static inline bool docker_session_connected(const struct docker_session *session)
{
	return session->reported == DOCKER_REPORTED_CONNECTED;
}

/* Has the whole state read as soon as possible. */
static inline void docker_session_read_soon(struct docker_session *session)
{
	session->read_wanted = true;
}

/* Has it read @ms after the last call, but at most four times @ms after the first one. */
void docker_session_read_after(struct docker_session *session, int64_t ms);

/* The whole state was read, so the session counts as connected. The watcher calls it before it
 * hands the state to its user. */
void docker_session_read_finished(struct docker_session *session);

#endif
