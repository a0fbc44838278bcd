// SPDX-License-Identifier: Apache-2.0
#include "docker/docker_api.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/util.h"

/* The size of a read(2), in bytes. */
#define RECEIVE_SIZE 65536

#define STATUS_OK	  200
#define STATUS_NO_CONTENT 204
#define STATUS_NOT_FOUND  404

struct docker_api {
	int wake_fd;
	struct docker_request *requests[DOCKER_REQUESTS_MAX]; /* NULL: free */
	char buffer[RECEIVE_SIZE];
};

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

	/* Only new bytes are searched, so that a long line in small pieces takes linear time. */
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

static void __attribute__((format(printf, 3, 4)))
finish(struct docker_request *request, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(request->reason, sizeof(request->reason), format, arguments);
	va_end(arguments);
	request->error = error;
	request->state = DOCKER_REQUEST_DONE;
	request->fd = safe_close(request->fd);
}

static int on_head_complete(llhttp_t *parser)
{
	struct docker_request *request = parser->data;

	request->head_complete = true;
	request->open = llhttp_get_status_code(parser) == STATUS_OK;
	return 0;
}

static int on_body(llhttp_t *parser, const char *data, size_t size)
{
	struct docker_request *request = parser->data;

	if (request->open && request->on_line)
		request->error = docker_buffer_lines(&request->body, data, size, request->on_line,
						     request->context);
	else
		request->error = docker_buffer_append(&request->body, data, size);
	return request->error < 0 ? HPE_USER : 0;
}

static int on_answer_complete(llhttp_t *parser)
{
	struct docker_request *request = parser->data;

	request->complete = true;
	return HPE_PAUSED; /* the rest is ignored */
}

static const llhttp_settings_t parser_settings = {
	.on_headers_complete = on_head_complete,
	.on_body = on_body,
	.on_message_complete = on_answer_complete,
};

/* The answer is complete, or the connection has ended. */
static void finish_answer(struct docker_request *request)
{
	int status = llhttp_get_status_code(&request->parser);
	char message[DOCKER_REASON_MAX];

	if (!request->complete) {
		finish(request, -ECONNRESET, "%s %s: the engine broke off", request->method,
		       request->path);
	} else if (status != STATUS_OK && status != STATUS_NO_CONTENT) {
		docker_parse_error(request->body.data ? request->body.data : "", request->body.used,
				   message);
		finish(request, status == STATUS_NOT_FOUND ? -ENOENT : -EPROTO,
		       "%s %s: status %d%s%.150s", request->method, request->path, status,
		       message[0] ? ": " : "", message);
	} else if (request->on_line) {
		finish(request, -ECONNRESET, "%s %s: the engine ended the stream", request->method,
		       request->path);
	} else {
		finish(request, 0, "%s", "");
	}
}

/* The parser stopped, at an error of its own or one of the body's handler. */
static void finish_parser_error(struct docker_request *request)
{
	int error = request->error;

	switch (error) {
	case 0:
		finish(request, -EPROTO, "%s %s: not an HTTP answer: %.100s", request->method,
		       request->path, llhttp_get_error_reason(&request->parser));
		break;
	case -EMSGSIZE:
		finish(request, error, "%s %s: %s than %zu bytes", request->method, request->path,
		       request->on_line ? "an event is longer" : "the answer is longer",
		       request->body.limit);
		break;
	case -ENOMEM:
		finish(request, error, "%s %s: out of memory", request->method, request->path);
		break;
	default:
		finish(request, error, "%s", "");
		break;
	}
}

static void feed(struct docker_request *request, const char *data, size_t size)
{
	bool in_head = !request->head_complete;
	llhttp_errno_t code = llhttp_execute(&request->parser, data, size);

	/* llhttp does not limit the head. */
	if (in_head && !request->head_complete)
		request->head_size += size;
	if (request->complete)
		finish_answer(request);
	else if (code != HPE_OK)
		finish_parser_error(request);
	else if (request->head_size > DOCKER_HEAD_MAX)
		finish(request, -EMSGSIZE, "%s %s: the answer's head is longer than %d bytes",
		       request->method, request->path, DOCKER_HEAD_MAX);
}

static void receive(struct docker_request *request, char *buffer)
{
	/* The descriptor of docker_engine_ask() may be a pipe. */
	ssize_t size = read(request->fd, buffer, RECEIVE_SIZE);

	if (size > 0) {
		feed(request, buffer, (size_t)size);
	} else if (size == 0) {
		/* An answer without a length ends with the connection. */
		(void)llhttp_finish(&request->parser);
		finish_answer(request);
	} else if (errno != EAGAIN && errno != EINTR) {
		finish(request, -errno, "%s %s: %m", request->method, request->path);
	}
}

static void transmit(struct docker_request *request)
{
	ssize_t size = send(request->fd, request->head.data + request->sent,
			    request->head.used - request->sent, MSG_NOSIGNAL);

	if (size >= 0)
		request->sent += (size_t)size;
	else if (errno != EAGAIN && errno != EINTR)
		finish(request, -errno, "%s %s: %m", request->method, request->path);
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
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files";
	default:
		return "is this the engine's socket?";
	}
}

/* Sends the request by the engine's .ask, or connects to send it. A failure becomes the request's
 * result. */
static void dial(struct docker_request *request, const struct docker_engine *engine,
		 const char *query)
{
	if (engine->ask) {
		request->fd = docker_engine_ask(engine, request->method, request->path, query);
		request->sent = request->head.used;
	} else {
		request->fd = docker_engine_connect(engine);
	}
	if (request->fd < 0)
		finish(request, request->fd, "cannot connect to %.108s: %s; %s",
		       engine->socket_path, strerror(-request->fd), connect_advice(-request->fd));
}

int docker_request_start(struct docker_request *request, struct docker_api *api,
			 const struct docker_engine *engine, const char *path, const char *query)
{
	size_t place = 0;
	char *text;

	while (place < DOCKER_REQUESTS_MAX && api->requests[place])
		place++;
	*request = (struct docker_request) {
		.method = request->method ? request->method : "GET",
		.on_line = request->on_line,
		.context = request->context,
	};
	if (place == DOCKER_REQUESTS_MAX)
		return -EBUSY;
	text = docker_engine_format(request->method, path, query);
	if (!text)
		return -ENOMEM;
	request->state = DOCKER_REQUEST_RUNNING;
	request->api = api;
	request->path = path;
	request->head = (struct docker_buffer) {.data = text, .used = strlen(text)};
	request->body.limit = request->on_line ? DOCKER_EVENT_MAX : DOCKER_ANSWER_MAX;
	/* A stream may be silent for any time. */
	request->deadline_ms = request->on_line ? 0
						: (int64_t)clock_ms() + DOCKER_ANSWER_TIMEOUT_MS;
	llhttp_init(&request->parser, HTTP_RESPONSE, &parser_settings);
	request->parser.data = request;
	api->requests[place] = request;
	dial(request, engine, query);
	return 0;
}

void docker_request_remove(struct docker_request *request)
{
	size_t i;

	if (request->state == DOCKER_REQUEST_IDLE)
		return;
	for (i = 0; i < DOCKER_REQUESTS_MAX; i++)
		if (request->api->requests[i] == request)
			request->api->requests[i] = NULL;
	request->fd = safe_close(request->fd);
	docker_buffer_release(&request->head);
	docker_buffer_release(&request->body);
	request->state = DOCKER_REQUEST_IDLE;
}

int docker_request_result(const struct docker_request *request, char reason[DOCKER_REASON_MAX])
{
	if (request->reason[0])
		(void)snprintf(reason, DOCKER_REASON_MAX, "%s", request->reason);
	return request->error;
}

struct docker_request *docker_api_next_done(struct docker_api *api)
{
	size_t i;

	for (i = 0; i < DOCKER_REQUESTS_MAX; i++) {
		struct docker_request *request = api->requests[i];

		if (request && request->state == DOCKER_REQUEST_DONE) {
			api->requests[i] = NULL;
			return request;
		}
	}
	return NULL;
}

/* Fills @polled: the wake descriptor, then all places of requests. Returns the time to wait. */
static int prepare(const struct docker_api *api, struct pollfd *polled, int timeout_ms)
{
	int64_t now = (int64_t)clock_ms();
	size_t i;

	polled[0] = (struct pollfd) {.fd = api->wake_fd, .events = POLLIN};
	for (i = 0; i < DOCKER_REQUESTS_MAX; i++) {
		const struct docker_request *request = api->requests[i];

		polled[i + 1] = (struct pollfd) {.fd = -1};
		if (!request)
			continue;
		if (request->state == DOCKER_REQUEST_DONE)
			return 0;
		polled[i + 1].fd = request->fd;
		polled[i + 1].events = request->sent < request->head.used ? POLLOUT : POLLIN;
		if (request->deadline_ms && request->deadline_ms - now < timeout_ms)
			timeout_ms = request->deadline_ms > now ? (int)(request->deadline_ms - now)
								: 0;
	}
	return timeout_ms;
}

int docker_api_wait(struct docker_api *api, int timeout_ms)
{
	struct pollfd polled[DOCKER_REQUESTS_MAX + 1] = {0};
	eventfd_t value;
	size_t i;

	timeout_ms = prepare(api, polled, timeout_ms);
	if (poll(polled, ARRAY_SIZE(polled), timeout_ms) < 0)
		return errno == EINTR ? 0 : -errno;
	if (polled[0].revents)
		(void)eventfd_read(api->wake_fd, &value);
	for (i = 0; i < DOCKER_REQUESTS_MAX; i++) {
		struct docker_request *request = api->requests[i];

		if (!request || request->state != DOCKER_REQUEST_RUNNING)
			continue;
		if (polled[i + 1].revents && request->sent < request->head.used)
			transmit(request);
		else if (polled[i + 1].revents)
			receive(request, api->buffer);
		else if (request->deadline_ms && (int64_t)clock_ms() >= request->deadline_ms)
			finish(request, -ETIMEDOUT, "%s %s: no answer within %d ms",
			       request->method, request->path, DOCKER_ANSWER_TIMEOUT_MS);
	}
	return 0;
}

void docker_api_wake(struct docker_api *api)
{
	(void)eventfd_write(api->wake_fd, 1);
}

int docker_api_new(struct docker_api **ret_api)
{
	struct docker_api *api = calloc(1, sizeof(*api));
	int error;

	if (!api)
		return -ENOMEM;
	api->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (api->wake_fd < 0) {
		error = -errno;
		free(api);
		return error;
	}
	*ret_api = api;
	return 0;
}

void docker_api_free(struct docker_api *api)
{
	if (!api)
		return;
	(void)safe_close(api->wake_fd);
	free(api);
}

int docker_api_ask(const struct docker_engine *engine, const char *method, const char *path,
		   const char *query, struct docker_buffer *ret_body,
		   char reason[DOCKER_REASON_MAX])
{
	struct docker_request request = {.method = method};
	struct docker_api *api = NULL;
	int error = docker_api_new(&api);

	if (!api)
		return docker_refuse(error, reason, "%s %s: %s", method, path, strerror(-error));
	error = docker_request_start(&request, api, engine, path, query);
	/* The request's own deadline ends the loop. */
	while (error == 0 && !docker_api_next_done(api))
		error = docker_api_wait(api, DOCKER_ANSWER_TIMEOUT_MS);
	if (error < 0) {
		(void)docker_refuse(error, reason, "%s %s: %s", method, path, strerror(-error));
	} else {
		error = docker_request_result(&request, reason);
		*ret_body = request.body;
		request.body = (struct docker_buffer) {0};
	}
	docker_request_remove(&request);
	docker_api_free(api);
	return error;
}

char *docker_url_encode(const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					 "0123456789-._~";
	char *encoded = malloc(strlen(text) * 3 + 1);
	char *end = encoded;

	if (!encoded)
		return NULL;
	for (; *text; text++) {
		if (strchr(unreserved, *text)) {
			*end++ = *text;
			continue;
		}
		*end++ = '%';
		*end++ = digits[(unsigned char)*text >> 4];
		*end++ = digits[(unsigned char)*text & 15];
	}
	*end = '\0';
	return encoded;
}
