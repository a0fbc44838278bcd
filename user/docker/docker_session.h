/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection to a Docker engine that a watcher lives on: a thread that keeps the event stream
 * open, says when the whole state is to be read, and connects anew, with all of it read again,
 * after whatever trouble. Private to docker and docker_containers, which say what the state is.
 */
#ifndef SIDESTEP_DOCKER_SESSION_H
#define SIDESTEP_DOCKER_SESSION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "docker/docker_api.h"
#include "docker/docker_json.h"

/*
 * What makes a watcher. All of it is called from the session's thread. Those that return a value
 * return 0, or a negative errno with its text in session.reason; the session then starts anew.
 */
struct docker_session_watcher {
	const char *subject;	   /* what is watched, for messages: "networks" */
	const char *thread_name;   /* at most 15 bytes */
	const char *event_filters; /* GET /events' parameter "filters", not URL encoded */
	/* An event. Requests must wait for .work. */
	int (*event)(const char *line, size_t size, void *context);
	/* Begin to read the whole state. It ends with docker_session_read_finished(), before which
	 * this is not called again. */
	int (*read)(void *context);
	/* A request is done; @result is that of docker_request_result(). */
	int (*answered)(struct docker_request *request, int result, void *context);
	/* After each round of events and answers, while the stream is open. May be NULL. */
	int (*work)(void *context);
	/* The session ends: remove all requests, and forget what was being read. */
	void (*closed)(void *context);
	/* As in struct docker_watch_handler; @context is the watcher's. */
	void (*connected)(bool connected, const char *reason, void *context);
};

enum docker_session_state {
	DOCKER_SESSION_WAITING, /* to connect again, at the deadline */
	DOCKER_SESSION_OPENING, /* the event stream was asked for; given up at the deadline */
	DOCKER_SESSION_OPEN,	/* the event stream is there */
};

enum docker_session_reported {
	DOCKER_REPORTED_NOTHING,
	DOCKER_REPORTED_LOST,
	DOCKER_REPORTED_CONNECTED,
};

/* Zeroed before docker_session_start(). Watchers use .reason and leave the rest alone. */
struct docker_session {
	char socket_path[DOCKER_SOCKET_PATH_MAX];
	const struct docker_session_watcher *watcher;
	void *context;
	struct docker_api *api;
	pthread_t thread;
	atomic_bool stop;

	enum docker_session_state state;
	enum docker_session_reported reported;
	int64_t deadline_ms;
	int64_t opened_ms;
	unsigned int backoff_ms;

	struct docker_request events;
	bool read_wanted;
	bool reading;
	int64_t settle_ms;	/* when to read once more; 0: no need */
	int64_t settle_late_ms; /* when to read at the latest, although events go on; 0: no need */
	int64_t read_started_ms;
	int64_t read_allowed_ms;

	char reason[DOCKER_REASON_MAX];
	char warned[DOCKER_REASON_MAX]; /* the reason that was last shown */
};

/* Starts the thread. Returns and logs as docker_watch_new(); after an error nothing is left. */
int docker_session_start(struct docker_session *session, const char *socket_path,
			 const struct docker_session_watcher *watcher, void *context);

/* As docker_watch_free(), but for the memory of @session. */
void docker_session_stop(struct docker_session *session);

/* From the session's thread: */

/* GET @path as one of the watcher's requests. */
int docker_session_get(struct docker_session *session, struct docker_request *request,
		       const char *path);

/* Whether the whole state was read since the connection was made. */
static inline bool docker_session_connected(const struct docker_session *session)
{
	return session->reported == DOCKER_REPORTED_CONNECTED;
}

/* The whole state is to be read as soon as may be. */
void docker_session_read_soon(struct docker_session *session);

/* ... once @ms have passed since the last call, at the latest four times that after the first. */
void docker_session_read_after(struct docker_session *session, int64_t ms);

/* The whole state was read: the session counts as connected. To be called before the watcher's
 * handler is given that state. */
void docker_session_read_finished(struct docker_session *session);

#endif
