// SPDX-License-Identifier: Apache-2.0
#include "metrics/otlp_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/util.h"
#include "metrics/otlp_tls.h"

static void over(struct loop_task *task)
{
	struct otlp_request *request = container_of(task, struct otlp_request, over);
	const struct otlp_answer answer = request->answer;

	request->busy = false;
	request->answered(request, &answer);
}

static void close_all(struct otlp_request *request)
{
	dial_cancel(&request->dial);
	loop_close(&request->side);
	loop_timer_stop(&request->limit);
	tls_stream_release(&request->stream);
	free(request->text);
	request->text = NULL;
}

/* Closes the connection, and tells the owner soon. */
static void end(struct otlp_request *request, int status, const char *cause)
{
	close_all(request);
	request->answer = (struct otlp_answer) {status, cause, request->later};
	loop_defer(request->config.dialer->loop, &request->over);
}

/* The status is enough. Nothing is known of a body that a collector sends with it. Returns false:
 * the request has ended. */
static bool take_answer(struct otlp_request *request, const char *data, size_t size)
{
	size_t used;

	switch (http_head_feed(&request->head, data, size, &used)) {
	case HTTP_MORE:
		return true;
	case HTTP_REFUSED:
		end(request, -EPROTO, "the answer is not HTTP");
		return false;
	case HTTP_COMPLETE:
		end(request, request->head.parser.status_code, NULL);
		return false;
	}
	return false;
}

static void read_plain(struct otlp_request *request)
{
	char buffer[4096];

	for (;;) {
		ssize_t size = recv(request->side.fd, buffer, sizeof(buffer), 0);

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN)
			return;
		if (size <= 0) {
			end(request, size < 0 ? -errno : -ECONNRESET, NULL);
			return;
		}
		if (!take_answer(request, buffer, (size_t)size))
			return;
	}
}

static void write_plain(struct otlp_request *request)
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

static void fail_tls(struct otlp_request *request, int error)
{
	end(request, error == 0 || error == -ENODATA ? -ECONNRESET : error,
	    error == -EPROTO ? otlp_tls_cause(request->stream.ssl) : NULL);
}

/* Returns 1 if the handshake is done, 0: it goes on, or a negative errno. */
static int shake_hands(struct otlp_request *request)
{
	int result = 1, error;

	if (!request->handshaken)
		result = tls_stream_accept(&request->stream);
	/* An alert goes out as well. */
	error = tls_stream_flush(&request->stream);
	request->handshaken = result == 1;
	return result == 1 && error < 0 ? error : result;
}

static int write_tls(struct otlp_request *request)
{
	int result = tls_stream_flush(&request->stream);

	while (result == 1 && request->sent < request->size) {
		size_t left = request->size - request->sent;
		size_t part = left < TLS_STREAM_WRITE ? left : TLS_STREAM_WRITE;

		result = tls_stream_write(&request->stream, request->text + request->sent, part);
		request->sent += part;
		if (result == 0)
			result = tls_stream_flush(&request->stream);
	}
	return result < 0 ? result : 0;
}

static void read_tls(struct otlp_request *request)
{
	char buffer[4096];
	ssize_t size;

	while ((size = tls_stream_read(&request->stream, buffer, sizeof(buffer))) > 0)
		if (!take_answer(request, buffer, (size_t)size))
			return;
	if (size != -EAGAIN)
		fail_tls(request, (int)size);
}

static void go_on(struct otlp_request *request)
{
	int result;

	if (!request->config.tls) {
		write_plain(request);
		read_plain(request);
		return;
	}
	result = shake_hands(request);
	if (result == 1)
		result = write_tls(request);
	if (result < 0)
		fail_tls(request, result);
	else if (request->handshaken)
		read_tls(request);
}

static void side_ready(struct loop_handler *handler, uint32_t events)
{
	(void)events;
	go_on(container_of(handler, struct otlp_request, side));
}

static int start_tls(struct otlp_request *request)
{
	SSL *ssl = otlp_tls_connect(request->config.tls, request->config.url);

	return ssl ? tls_stream_init(&request->stream, ssl, &request->side, request->scratch, NULL,
				     0)
		   : -ENOMEM;
}

static void dialed(struct dial *dial, int error)
{
	struct otlp_request *request = container_of(dial, struct otlp_request, dial);

	if (error == 0 && request->config.tls)
		error = start_tls(request);
	if (error < 0) {
		end(request, error, NULL);
		return;
	}
	request->side.ready = side_ready;
	go_on(request);
}

static void limit_expired(struct loop_timer *timer)
{
	end(container_of(timer, struct otlp_request, limit), -ETIMEDOUT, NULL);
}

int otlp_request_init(struct otlp_request *request, const struct otlp_request_config *config,
		      void (*answered)(struct otlp_request *request,
				       const struct otlp_answer *answer))
{
	*request = (struct otlp_request) {
		.config = *config,
		.answered = answered,
		.side.fd = -1,
		.over.run = over,
		.limit.expired = limit_expired,
		.values = {{.name = "retry-after"}},
	};
	request->values[0].text = request->later;
	request->values[0].size = sizeof(request->later);
	loop_timer_class_init(config->dialer->loop, &request->limit_class, OTLP_ANSWER_MS);
	if (!config->tls)
		return 0;
	request->scratch = calloc(1, sizeof(*request->scratch));
	return request->scratch ? 0 : -ENOMEM;
}

static bool compose(struct otlp_request *request, const char *path, const char *body, size_t size)
{
	const struct otlp_url *url = request->config.url;
	FILE *stream = open_memstream(&request->text, &request->size);

	if (!stream)
		return false;
	(void)fprintf(stream,
		      "POST %s%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sidestep/%s\r\n"
		      "Content-Type: application/json\r\nContent-Length: %zu\r\n"
		      "Connection: close\r\n%s\r\n",
		      url->path, path, url->host, SIDESTEP_VERSION, size,
		      request->config.headers->lines);
	(void)fwrite(body, 1, size, stream);
	return fclose(stream) == 0;
}

static void dial(struct otlp_request *request)
{
	const struct sockaddr *name = (const struct sockaddr *)&request->address.address;
	int fd = dial_socket(request->config.announcer, name);
	int error = fd;

	request->dial = (struct dial) {.fd = -1, .done = dialed};
	if (fd >= 0)
		error = dial_start(&request->dial, request->config.dialer, &request->side, fd, name,
				   request->address.size);
	if (error < 0)
		end(request, error, NULL);
}

bool otlp_request_send(struct otlp_request *request, const struct socket_address *address,
		       const char *path, const char *body, size_t size)
{
	if (!compose(request, path, body, size)) {
		free(request->text);
		request->text = NULL;
		return false;
	}
	request->address = *address;
	request->sent = 0;
	request->handshaken = false;
	request->busy = true;
	request->later[0] = '\0';
	request->values[0].length = 0;
	request->values[0].count = 0;
	request->values[0].cut = false;
	http_head_init(&request->head, HTTP_RESPONSE, request->values, ARRAY_SIZE(request->values));
	loop_timer_start(request->config.dialer->loop, &request->limit_class, &request->limit);
	dial(request);
	return true;
}

void otlp_request_release(struct otlp_request *request)
{
	close_all(request);
	loop_cancel(&request->over);
	free(request->scratch);
	request->scratch = NULL;
	request->busy = false;
}
