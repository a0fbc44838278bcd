/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends requests to a Docker engine. It collects an answer or reads a stream of
 * lines. docker_api_ask() waits for a single answer. Private to user/docker.
 *
 * Each request has a connection of its own; llhttp parses HTTP/1.1. libcurl's 36 shared libraries
 * would cost every start of this program 5 ms, and the container image 6 MB.
 */
#ifndef SIDESTEP_DOCKER_API_H
#define SIDESTEP_DOCKER_API_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "docker/docker_engine.h"
#include "docker/docker_json.h"

/* A longer answer or event is refused. */
#define DOCKER_ANSWER_MAX (16U << 20) /* bytes of one answer */
#define DOCKER_EVENT_MAX  (1U << 20)  /* bytes of one event */

/* The time limit of an answer. The caller limits how long a stream takes to become .open. */
#define DOCKER_ANSWER_TIMEOUT_MS 10000
#define DOCKER_REQUESTS_MAX	 16    /* at the same time */
#define DOCKER_HEAD_MAX		 65536 /* bytes of an answer's head */

/* A buffer that grows up to a limit. */
struct docker_buffer {
	char *data; /* never NUL-terminated */
	size_t used;
	size_t capacity;
	size_t limit;
};

/* Returns 0, -EMSGSIZE beyond the limit, or -ENOMEM. */
int docker_buffer_append(struct docker_buffer *buffer, const void *data, size_t size);
void docker_buffer_release(struct docker_buffer *buffer);

/* Gets each line that is not empty, without its end. A negative errno ends the stream. */
typedef int docker_line_handler(const char *line, size_t size, void *context);

/* Appends @data and calls @handler for each complete line; an incomplete one stays in the buffer.
 * Returns 0, -EMSGSIZE, -ENOMEM, or the handler's error. */
int docker_buffer_lines(struct docker_buffer *buffer, const void *data, size_t size,
			docker_line_handler *handler, void *context);

/* The requests of one thread. */
struct docker_api;

/* Returns 0 or negative errno. */
int docker_api_new(struct docker_api **ret_api);
/* No request may be running. NULL is allowed. */
void docker_api_free(struct docker_api *api);

/* Waits for the engine, at most @timeout_ms, and advances all requests. Returns 0, also when woken,
 * or a negative errno. */
int docker_api_wait(struct docker_api *api, int timeout_ms);

/* Ends the current wait, or the next one. Any thread may call it. */
void docker_api_wake(struct docker_api *api);

enum docker_request_state {
	DOCKER_REQUEST_IDLE, /* not running */
	DOCKER_REQUEST_RUNNING,
	DOCKER_REQUEST_DONE, /* see docker_request_result() */
};

struct docker_request {
	enum docker_request_state state;
	struct docker_api *api;
	const char *method; /* NULL before the start: GET */
	const char *path;   /* without its query, for messages */
	struct docker_buffer body;
	docker_line_handler *on_line; /* NULL: the answer is collected in body */
	void *context;
	bool open; /* a stream got status 200 */

	/* Private. */
	int fd;
	llhttp_t parser;
	struct docker_buffer head; /* of the request, until it is sent */
	size_t sent;
	size_t head_size; /* of the answer */
	bool head_complete, complete;
	int64_t deadline_ms; /* 0: none */
	int error;	     /* negative errno */
	char reason[DOCKER_REASON_MAX];
};

/* Starts @path?@query. @query is URL encoded, or NULL. @path belongs to the caller, who keeps it
 * while the request runs. @request is zeroed except for .method, .on_line and .context. A failed
 * connection shows in the result. Returns 0, -ENOMEM, or -EBUSY beyond DOCKER_REQUESTS_MAX; after
 * an error there is nothing to remove. */
int docker_request_start(struct docker_request *request, struct docker_api *api,
			 const struct docker_engine *engine, const char *path, const char *query);

/* Ends the request in any state and frees its body. It may be idle. */
void docker_request_remove(struct docker_request *request);

/* Returns a request that is done, each only once, or NULL. */
struct docker_request *docker_api_next_done(struct docker_api *api);

/* Returns the result of a request that is done: 0 for status 200 or 204, with a complete body.
 * Otherwise it returns a negative errno with the text in @reason: -ENOENT for status 404, -EPROTO
 * for others, -ECONNRESET for a stream that ended. An error of .on_line leaves @reason unchanged.
 */
int docker_request_result(const struct docker_request *request, char reason[DOCKER_REASON_MAX]);

/* Makes one request and waits for its answer, at most DOCKER_ANSWER_TIMEOUT_MS. Returns like
 * docker_request_result(), or another negative errno with its @reason. The caller zeroes *@ret_body
 * before and releases it. */
int docker_api_ask(const struct docker_engine *engine, const char *method, const char *path,
		   const char *query, struct docker_buffer *ret_body,
		   char reason[DOCKER_REASON_MAX]);

/* Percent-encodes all of @text except RFC 3986's unreserved characters. The caller frees the
 * result. NULL: out of memory. */
char *docker_url_encode(const char *text);

#endif
