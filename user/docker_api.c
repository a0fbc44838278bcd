// SPDX-License-Identifier: Apache-2.0
#include "docker_api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"

int docker_buffer_append(struct docker_buffer *buffer, const void *data, size_t size)
{
	size_t capacity = buffer->capacity ? buffer->capacity : 4096;
	char *grown;

	if (size > buffer->limit - buffer->used)
		return -EMSGSIZE;
	if (size == 0)
		return 0;
	while (capacity < buffer->used + size)
		capacity *= 2;
	if (capacity > buffer->capacity) {
		grown = realloc(buffer->data, capacity);
		if (!grown)
			return -ENOMEM;
		buffer->data = grown;
		buffer->capacity = capacity;
	}
	memcpy(buffer->data + buffer->used, data, size);
	buffer->used += size;
	return 0;
}

void docker_buffer_release(struct docker_buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct docker_buffer) {.limit = buffer->limit};
}

int docker_buffer_lines(struct docker_buffer *buffer, const void *data, size_t size,
			docker_line_handler *handler, void *context)
{
	const char *rest = data;
	const char *end;
	int result;

	/* Only new bytes are searched: a long line in small pieces must not cost its square. */
	while ((end = memchr(rest, '\n', size)) != NULL) {
		size_t length = (size_t)(end - rest);

		result = docker_buffer_append(buffer, rest, length);
		if (result == 0 && buffer->used > 0)
			result = handler(buffer->data, buffer->used, context);
		if (result < 0)
			return result;
		buffer->used = 0;
		rest += length + 1;
		size -= length + 1;
	}
	return docker_buffer_append(buffer, rest, size);
}

/* As curl would, but closed on exec. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)context;
	(void)purpose;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static long request_status(const struct docker_request *request)
{
	long status = 0;

	(void)curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* Called with each header line; the empty one ends them. */
static size_t receive_header(char *data, size_t size, size_t count, void *context)
{
	struct docker_request *request = context;

	if (data[0] == '\r' && request_status(request) == 200)
		request->open = true;
	return size * count;
}

static size_t receive_body(char *data, size_t size, size_t count, void *context)
{
	struct docker_request *request = context;

	size *= count;
	if (request->open && request->on_line)
		request->error = docker_buffer_lines(&request->body, data, size, request->on_line,
						     request->context);
	else
		request->error = docker_buffer_append(&request->body, data, size);
	/* Anything but the size ends the transfer with CURLE_WRITE_ERROR. */
	return request->error < 0 ? 0 : size;
}

static CURLcode set_options(struct docker_request *request, const char *socket_path,
			    const char *url)
{
	CURL *easy = request->easy;
	CURLcode code = CURLE_OK;

#define SET(option, value) (code = code ? code : curl_easy_setopt(easy, option, value))
	SET(CURLOPT_URL, url);
	SET(CURLOPT_UNIX_SOCKET_PATH, socket_path);
	/* An http_proxy of the environment is not meant for this. */
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_PROTOCOLS_STR, "http");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_USERAGENT, "sidestep/" SIDESTEP_VERSION);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_HEADERFUNCTION, receive_header);
	SET(CURLOPT_HEADERDATA, request);
	SET(CURLOPT_WRITEFUNCTION, receive_body);
	SET(CURLOPT_WRITEDATA, request);
	SET(CURLOPT_ERRORBUFFER, request->message);
	SET(CURLOPT_PRIVATE, request);
	/* What a stream was cut off in the middle of is not fit for another request. */
	SET(CURLOPT_FRESH_CONNECT, request->on_line ? 1L : 0L);
	SET(CURLOPT_FORBID_REUSE, request->on_line ? 1L : 0L);
	/* A stream may be silent for as long as it likes. */
	SET(CURLOPT_TIMEOUT_MS, request->on_line ? 0L : (long)DOCKER_ANSWER_TIMEOUT_MS);
#undef SET
	return code;
}

int docker_request_start(struct docker_request *request, CURLM *multi, const char *socket_path,
			 const char *path, const char *query)
{
	_cleanup_free_ char *url = NULL;

	/* The host is never looked up; HTTP/1.1 and the engine want one nevertheless. */
	if (asprintf(&url, "http://docker%s%s%s", path, query ? "?" : "", query ? query : "") < 0) {
		url = NULL;
		return -ENOMEM;
	}
	*request = (struct docker_request) {
		.multi = multi,
		.path = path,
		.on_line = request->on_line,
		.context = request->context,
		.body.limit = request->on_line ? DOCKER_EVENT_MAX : DOCKER_ANSWER_MAX,
		.easy = curl_easy_init(),
	};
	if (!request->easy)
		return -ENOMEM;
	if (set_options(request, socket_path, url) != CURLE_OK ||
	    curl_multi_add_handle(multi, request->easy) != CURLM_OK) {
		curl_easy_cleanup(request->easy);
		request->easy = NULL;
		return -ENOMEM;
	}
	return 0;
}

void docker_request_remove(struct docker_request *request)
{
	if (request->easy) {
		(void)curl_multi_remove_handle(request->multi, request->easy);
		curl_easy_cleanup(request->easy);
		request->easy = NULL;
	}
	docker_buffer_release(&request->body);
}

static int refused_status(struct docker_request *request, long status,
			  char reason[DOCKER_REASON_MAX])
{
	char message[DOCKER_REASON_MAX];

	docker_parse_error(request->body.data ? request->body.data : "", request->body.used,
			   message);
	(void)snprintf(reason, DOCKER_REASON_MAX, "GET %s: status %ld%s%.150s", request->path,
		       status, message[0] ? ": " : "", message);
	return -EPROTO;
}

static const char *connect_advice(long error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return "run as root or as a member of the socket's group";
	case ENOENT:
		return "start the engine, or name its socket (in a container: mount it)";
	case ECONNREFUSED:
		return "nobody listens on it: start the engine";
	default:
		return "is this the engine's socket?";
	}
}

int docker_request_result(struct docker_request *request, CURLcode code, const char *socket_path,
			  char reason[DOCKER_REASON_MAX])
{
	char text[128];
	long status = request_status(request);
	long error = 0;

	if (request->error == -EMSGSIZE)
		(void)snprintf(reason, DOCKER_REASON_MAX, "GET %s: %s than %zu bytes",
			       request->path,
			       request->on_line ? "an event is longer" : "the answer is longer",
			       request->body.limit);
	else if (request->error == -ENOMEM)
		(void)snprintf(reason, DOCKER_REASON_MAX, "GET %s: out of memory", request->path);
	if (request->error < 0)
		return request->error;
	if (code == CURLE_COULDNT_CONNECT) {
		(void)curl_easy_getinfo(request->easy, CURLINFO_OS_ERRNO, &error);
		(void)snprintf(reason, DOCKER_REASON_MAX, "cannot connect to %.108s: %s; %s",
			       socket_path, strerror_r((int)error, text, sizeof(text)),
			       connect_advice(error));
		return error ? -(int)error : -ECONNREFUSED;
	}
	if (code != CURLE_OK) {
		(void)snprintf(reason, DOCKER_REASON_MAX, "GET %s: %.200s", request->path,
			       request->message[0] ? request->message : curl_easy_strerror(code));
		return code == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT : -ECONNRESET;
	}
	if (status != 200)
		return refused_status(request, status, reason);
	if (request->on_line) {
		(void)snprintf(reason, DOCKER_REASON_MAX, "GET %s: the engine ended the stream",
			       request->path);
		return -ECONNRESET;
	}
	return 0;
}
