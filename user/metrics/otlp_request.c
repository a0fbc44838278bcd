// SPDX-License-Identifier: Apache-2.0
#include "metrics/otlp_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/util.h"

static void over(struct loop_task *task)
{
	struct otlp_request *request = container_of(task, struct otlp_request, over);

	request->busy = false;
	request->answered(request, request->status);
}

/* Closes the connection, and tells the owner soon. */
static void end(struct otlp_request *request, int status)
{
	dial_cancel(&request->dial);
	loop_close(&request->side);
	loop_timer_stop(&request->limit);
	free(request->text);
	request->text = NULL;
	request->status = status;
	loop_defer(request->dialer->loop, &request->over);
}

/* The status is enough. Nothing is known of a body that a collector sends with it. */
static void read_answer(struct otlp_request *request)
{
	char buffer[4096];
	size_t used;

	for (;;) {
		ssize_t size = recv(request->side.fd, buffer, sizeof(buffer), 0);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN)
			return;
		if (size <= 0) {
			end(request, size < 0 ? -errno : -ECONNRESET);
			return;
		}
		switch (http_head_feed(&request->head, buffer, (size_t)size, &used)) {
		case HTTP_MORE:
			continue;
		case HTTP_REFUSED:
			end(request, -EPROTO);
			return;
		case HTTP_COMPLETE:
			end(request, request->head.parser.status_code);
			return;
		}
	}
}

static void write_request(struct otlp_request *request)
{
	while (request->sent < request->size) {
		ssize_t size = send(request->side.fd, request->text + request->sent,
				    request->size - request->sent, MSG_NOSIGNAL);

		if (size < 0 && errno == EINTR)
			continue;
		/* A collector may answer and close before it has read all. */
		if (size < 0)
			return;
		request->sent += (size_t)size;
	}
}

static void side_ready(struct loop_handler *handler, uint32_t events)
{
	struct otlp_request *request = container_of(handler, struct otlp_request, side);

	(void)events;
	write_request(request);
	read_answer(request);
}

static void dialed(struct dial *dial, int error)
{
	struct otlp_request *request = container_of(dial, struct otlp_request, dial);

	if (error < 0) {
		end(request, error);
		return;
	}
	request->side.ready = side_ready;
	write_request(request);
	read_answer(request);
}

static void limit_expired(struct loop_timer *timer)
{
	end(container_of(timer, struct otlp_request, limit), -ETIMEDOUT);
}

void otlp_request_init(struct otlp_request *request, const struct otlp_url *url,
		       struct dialer *dialer, const struct dial_announcer *announcer,
		       void (*answered)(struct otlp_request *request, int status))
{
	*request = (struct otlp_request) {
		.url = url,
		.dialer = dialer,
		.announcer = announcer,
		.answered = answered,
		.side.fd = -1,
		.over.run = over,
		.limit.expired = limit_expired,
	};
	loop_timer_class_init(dialer->loop, &request->limit_class, OTLP_ANSWER_MS);
}

static bool compose(struct otlp_request *request, const char *path, const char *body, size_t size)
{
	FILE *stream = open_memstream(&request->text, &request->size);

	if (!stream)
		return false;
	(void)fprintf(stream,
		      "POST %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sidestep/%s\r\n"
		      "Content-Type: application/json\r\nContent-Length: %zu\r\n"
		      "Connection: close\r\n\r\n",
		      request->url->path, path, request->url->host, SIDESTEP_VERSION, size);
	(void)fwrite(body, 1, size, stream);
	return fclose(stream) == 0;
}

static void dial(struct otlp_request *request)
{
	const struct socket_address *address = &request->url->address;
	const struct sockaddr *name = (const struct sockaddr *)&address->address;
	int fd = dial_socket(request->announcer, name);
	int error = fd;

	request->dial = (struct dial) {.fd = -1, .done = dialed};
	if (fd >= 0)
		error = dial_start(&request->dial, request->dialer, &request->side, fd, name,
				   address->size);
	if (error < 0)
		end(request, error);
}

bool otlp_request_send(struct otlp_request *request, const char *path, char *body, size_t size)
{
	_cleanup_free_ char *owned = body;

	if (!compose(request, path, body, size)) {
		free(request->text);
		request->text = NULL;
		return false;
	}
	request->sent = 0;
	request->busy = true;
	http_head_init(&request->head, HTTP_RESPONSE, NULL, 0);
	loop_timer_start(request->dialer->loop, &request->limit_class, &request->limit);
	dial(request);
	return true;
}

void otlp_request_cancel(struct otlp_request *request)
{
	dial_cancel(&request->dial);
	loop_close(&request->side);
	loop_timer_stop(&request->limit);
	loop_cancel(&request->over);
	free(request->text);
	request->text = NULL;
	request->busy = false;
}
