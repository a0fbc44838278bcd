/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to a Docker engine's unix socket through one curl multi handle: answers that are
 * collected, and streams of lines. Private to docker.
 */
#ifndef SIDESTEP_DOCKER_API_H
#define SIDESTEP_DOCKER_API_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#include "docker_json.h"

/* How long an answer may take. Whoever starts a stream has to watch over .open himself. */
#define DOCKER_ANSWER_TIMEOUT_MS 10000

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

struct docker_request {
	CURL *easy; /* NULL: not running */
	CURLM *multi;
	const char *path; /* for messages: without its query */
	struct docker_buffer body;
	docker_line_handler *on_line; /* NULL: the answer is collected in body */
	void *context;
	bool open; /* a stream was answered with status 200 */
	int error; /* of what a curl callback found wrong, negative errno */
	char message[CURL_ERROR_SIZE];
};

/* Starts GET @path?@query (NULL: none; must be URL encoded). @request is zeroed except for
 * .on_line and .context. Returns 0, or -ENOMEM with nothing to remove. */
int docker_request_start(struct docker_request *request, CURLM *multi, const char *socket_path,
			 const char *path, const char *query);

/* Ends it, wherever it is, and frees the body. Harmless when it is not running. */
void docker_request_remove(struct docker_request *request);

/* How a request that curl says is done went: 0 for status 200 (body is complete), else a negative
 * errno with the text in @reason. A stream that ended is -ECONNRESET. After an error of .on_line's
 * own, @reason is what .on_line left there. */
int docker_request_result(struct docker_request *request, CURLcode code, const char *socket_path,
			  char reason[DOCKER_REASON_MAX]);

#endif
