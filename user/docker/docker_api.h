/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to a Docker engine's unix socket: answers that are collected, and streams of lines; and
 * single ones that are waited for. Private to docker_*.
 *
 * HTTP/1.1 by llhttp, a connection for each request. Not libcurl, whose 36 shared libraries cost
 * every start of this program 5 ms and the container image 6 MB.
 */
#ifndef SIDESTEP_DOCKER_API_H
#define SIDESTEP_DOCKER_API_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "docker/docker_json.h"

/* How long an answer may take. Whoever starts a stream has to watch over .open himself. */
#define DOCKER_ANSWER_TIMEOUT_MS 10000
#define DOCKER_REQUESTS_MAX	 16    /* at the same time */
#define DOCKER_HEAD_MAX		 65536 /* bytes of an answer's head */

#define DOCKER_SOCKET_PATH_MAX sizeof(((struct sockaddr_un *)NULL)->sun_path)

/* The path that @path, as docker_watch_new() takes it, stands for. Returns 0, -EINVAL or
 * -ENAMETOOLONG, logged. */
int docker_socket_path(const char *path, char ret_path[DOCKER_SOCKET_PATH_MAX]);

/* Bytes with a limit. */
struct docker_buffer {
	char *data; /* never NUL-terminated */
	size_t used;
	size_t capacity;
	size_t limit;
};

/* Returns 0, -EMSGSIZE when the limit would be passed, or -ENOMEM. */
int docker_buffer_append(struct docker_buffer *buffer, const void *data, size_t size);
void docker_buffer_release(struct docker_buffer *buffer);

/* Called for each line, without its end, that is not empty. A negative errno ends the stream. */
typedef int docker_line_handler(const char *line, size_t size, void *context);

/* Appends what arrived and calls @handler for each line that is now complete; the rest of it
 * stays in the buffer. Returns 0, -EMSGSIZE, -ENOMEM, or the handler's error. */
int docker_buffer_lines(struct docker_buffer *buffer, const void *data, size_t size,
			docker_line_handler *handler, void *context);

/* The requests of one thread. */
struct docker_api;

/* Returns 0 or negative errno. */
int docker_api_new(struct docker_api **ret_api);
/* No request may be running. NULL is allowed. */
void docker_api_free(struct docker_api *api);

/* Waits for the engine, at most @timeout_ms, and carries on with all requests. Returns 0 (also when
 * woken) or negative errno. */
int docker_api_wait(struct docker_api *api, int timeout_ms);

/* Ends the wait in progress, or else the next one. From any thread. */
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
	const char *path;   /* for messages: without its query */
	struct docker_buffer body;
	docker_line_handler *on_line; /* NULL: the answer is collected in body */
	void *context;
	bool open; /* a stream was answered with status 200 */

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

/* Starts @path?@query (NULL: none; must be URL encoded); @path stays the caller's while it runs.
 * @request is zeroed except for .method, .on_line and .context. An engine that is not there shows
 * in the result. Returns 0, -ENOMEM, or -EBUSY beyond DOCKER_REQUESTS_MAX, with nothing to remove
 * then. */
int docker_request_start(struct docker_request *request, struct docker_api *api,
			 const char *socket_path, const char *path, const char *query);

/* Ends it, wherever it is, and frees the body. Harmless when it is not running. */
void docker_request_remove(struct docker_request *request);

/* A request that is done, each only once; NULL: none. */
struct docker_request *docker_api_next_done(struct docker_api *api);

/* How a request that is done went: 0 for status 200 or 204 (body is complete), else a negative
 * errno with the text in @reason: -ENOENT for status 404, -EPROTO for any other. A stream that
 * ended is -ECONNRESET. After an error of .on_line's own,
 * @reason is what .on_line left there. */
int docker_request_result(const struct docker_request *request, char reason[DOCKER_REASON_MAX]);

/* One request, waited for: DOCKER_ANSWER_TIMEOUT_MS at most. Returns as docker_request_result(), or
 * another negative errno with its @reason. *@ret_body, zeroed before, is to be released. */
int docker_api_ask(const char *socket_path, const char *method, const char *path, const char *query,
		   struct docker_buffer *ret_body, char reason[DOCKER_REASON_MAX]);

/* @text with all but RFC 3986's unreserved characters percent-encoded; NULL: out of memory. */
char *docker_url_encode(const char *text);

#endif
