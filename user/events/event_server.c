// SPDX-License-Identifier: Apache-2.0
#include "events/event_server.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "events/event_json.h"
#include "events/event_ring.h"
#include "lib/list.h"
#include "lib/run_socket.h"
#include "lib/time_text.h"
#include "lib/util.h"
#include "stream/acceptor.h"

/* Lines are sent in batches of about this size, in bytes. */
#define BATCH (32 * 1024)
/* Readers are served after so many bytes of packed events, so that quick ones lose none. */
#define SERVE_EVERY (64 * 1024)
#define BACKLOG	    16

struct event_reader {
	struct event_server *server;
	struct list_link link;
	struct loop_handler handler;
	struct loop_timer patience; /* runs until the request has come */
	struct loop_release release;
	char request[EVENT_REQUEST_MAX];
	size_t request_size;
	struct event_cursor cursor;
	uint64_t lost;	   /* not told yet */
	uint64_t since_us; /* events before it are left out */
	bool asked, follow, open;
	char *kept; /* bytes that the socket did not take yet; NULL: none */
	size_t kept_begin, kept_end;
};

struct event_server {
	struct events *events;
	struct loop *loop;
	struct event_ring *ring;
	size_t unserved; /* bytes since the readers were served */
	char *path;
	struct acceptor acceptor;
	struct acceptor_reserve reserve;
	struct loop_timer_class patience_class;
	struct list_link readers;
	unsigned int count;
	/* The last line of a batch may be as long as can be, behind one that tells of a loss. */
	char batch[BATCH + 2 * EVENT_JSON_MAX];
};

/* Frees from a task, because an event in progress may name the handler. */
static void reader_end(struct event_reader *reader)
{
	struct event_server *server = reader->server;

	if (reader->open)
		events_ask_open(server->events, -1);
	loop_timer_stop(&reader->patience);
	loop_close(&reader->handler);
	list_remove(&reader->link);
	server->count--;
	free(reader->kept);
	loop_free_later(server->loop, &reader->release, reader);
}

/* Sends what the socket takes. Returns 1: all, 0: not all, or negative errno. */
static int reader_send(struct event_reader *reader, const char *bytes, size_t size,
		       size_t *ret_sent)
{
	*ret_sent = 0;
	while (*ret_sent < size) {
		ssize_t sent = send(reader->handler.fd, bytes + *ret_sent, size - *ret_sent,
				    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? 0 : -errno;
		*ret_sent += (size_t)sent;
	}
	return 1;
}

static int send_kept(struct event_reader *reader)
{
	size_t sent;
	int result;

	if (!reader->kept)
		return 1;
	result = reader_send(reader, reader->kept + reader->kept_begin,
			     reader->kept_end - reader->kept_begin, &sent);
	reader->kept_begin += sent;
	if (result > 0) {
		free(reader->kept);
		reader->kept = NULL;
	}
	return result;
}

static int send_or_keep(struct event_reader *reader, const char *bytes, size_t size)
{
	size_t sent;
	int result = reader_send(reader, bytes, size, &sent);

	if (result != 0)
		return result;
	reader->kept = malloc(size - sent);
	if (!reader->kept)
		return -ENOMEM;
	memcpy(reader->kept, bytes + sent, size - sent);
	reader->kept_begin = 0;
	reader->kept_end = size - sent;
	return 0;
}

static bool is_wanted(const struct event_reader *reader, const struct event *event)
{
	return event->time_us >= reader->since_us && (event->type != EVENT_OPEN || reader->open);
}

static size_t write_lost(struct event_reader *reader, char *line)
{
	struct event event = events_lost(reader->server->events, reader->lost);

	reader->lost = 0;
	return event_json_write(&event, line);
}

/* Writes the next lines into the server's batch. Returns their size, 0: there are none. */
static size_t fill_batch(struct event_reader *reader)
{
	struct event_server *server = reader->server;
	struct event event;
	size_t size = 0;
	bool more;

	while (size < BATCH) {
		more = event_ring_next(server->ring, &reader->cursor, &event, &reader->lost);
		if (reader->lost > 0)
			size += write_lost(reader, server->batch + size);
		if (!more)
			break;
		if (is_wanted(reader, &event))
			size += event_json_write(&event, server->batch + size);
	}
	return size;
}

/* Sends the reader what there is and what it takes. May end it. */
static void reader_serve(struct event_reader *reader)
{
	int result;

	if (!reader->asked)
		return;
	while ((result = send_kept(reader)) > 0) {
		size_t size = fill_batch(reader);

		if (size == 0 &&
		    reader->cursor.number == event_ring_newest(reader->server->ring).number)
			break;
		result = send_or_keep(reader, reader->server->batch, size);
		if (result <= 0)
			break;
	}
	if (result < 0 || (result > 0 && !reader->follow))
		reader_end(reader);
}

static void serve_all(struct event_server *server)
{
	struct list_link *link = list_first(&server->readers), *next;

	server->unserved = 0;
	for (; link; link = next) {
		next = list_next(&server->readers, link);
		reader_serve(container_of(link, struct event_reader, link));
	}
}

/* Sets the cursor to the last @count events. */
static void begin_at_last(struct event_reader *reader, uint64_t count)
{
	const struct event_ring *ring = reader->server->ring;
	uint64_t newest = event_ring_newest(ring).number, skipped = 0;
	struct event event;

	while (newest - reader->cursor.number > count)
		(void)event_ring_next(ring, &reader->cursor, &event, &skipped);
}

/* Returns the time of so long ago, or the beginning of time. */
static uint64_t time_before(uint64_t ms)
{
	uint64_t now_us = time_text_now();

	return ms < now_us / 1000 ? now_us - ms * 1000 : 0;
}

/* Reads {"last":N,"since_ms":M,"open":BOOL,"follow":BOOL}; all are optional. Returns 0 or -EINVAL.
 */
static int read_request(struct event_reader *reader, size_t size)
{
	json_t *json = json_loadb(reader->request, size, 0, NULL);
	const json_t *last = json_object_get(json, "last"),
		     *since = json_object_get(json, "since_ms");
	bool good = json_is_object(json) && (!last || json_integer_value(last) >= 0) &&
		    (!since || json_integer_value(since) >= 0);

	if (good) {
		reader->follow = json_is_true(json_object_get(json, "follow"));
		reader->open = json_is_true(json_object_get(json, "open"));
		reader->cursor = event_ring_oldest(reader->server->ring);
		if (last)
			begin_at_last(reader, (uint64_t)json_integer_value(last));
		if (since)
			reader->since_us = time_before((uint64_t)json_integer_value(since));
	}
	json_decref(json);
	return good ? 0 : -EINVAL;
}

/* Reads the request's line. Returns 1: it is there, 0: not yet, or negative errno. */
static int take_request(struct event_reader *reader)
{
	const char *end;
	ssize_t size;

	do
		size = recv(reader->handler.fd, reader->request + reader->request_size,
			    sizeof(reader->request) - reader->request_size, MSG_DONTWAIT);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (size == 0)
		return -ECONNRESET;
	reader->request_size += (size_t)size;
	end = memchr(reader->request, '\n', reader->request_size);
	if (!end)
		return reader->request_size == sizeof(reader->request) ? -EMSGSIZE : 0;
	return read_request(reader, (size_t)(end - reader->request)) < 0 ? -EINVAL : 1;
}

static void reader_ready(struct loop_handler *handler, uint32_t events)
{
	struct event_reader *reader = container_of(handler, struct event_reader, handler);
	int result = 0;

	if (events & (EPOLLERR | EPOLLHUP)) {
		reader_end(reader);
		return;
	}
	if (!reader->asked)
		result = take_request(reader);
	if (result > 0) {
		reader->asked = true;
		loop_timer_stop(&reader->patience);
		if (reader->open)
			events_ask_open(reader->server->events, 1);
	}
	if (result < 0)
		reader_end(reader);
	else
		reader_serve(reader);
}

static void patience_over(struct loop_timer *timer)
{
	reader_end(container_of(timer, struct event_reader, patience));
}

static void reader_came(struct acceptor *acceptor, int fd, const struct sockaddr_storage *peer)
{
	struct event_server *server = container_of(acceptor, struct event_server, acceptor);
	struct event_reader *reader = server->count < EVENT_READERS_MAX ? calloc(1, sizeof(*reader))
									: NULL;

	(void)peer;
	if (!reader) {
		(void)close(fd);
		return;
	}
	reader->server = server;
	reader->handler.ready = reader_ready;
	if (loop_add(server->loop, &reader->handler, fd,
		     EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) < 0) {
		(void)close(fd);
		free(reader);
		return;
	}
	reader->patience.expired = patience_over;
	loop_timer_start(server->loop, &server->patience_class, &reader->patience);
	list_append(&server->readers, &reader->link);
	server->count++;
}

static void no_descriptor(struct acceptor *acceptor, int fd, const struct sockaddr_storage *peer)
{
	(void)acceptor;
	(void)peer;
	(void)safe_close(fd);
}

static void server_take(void *context, const struct event *event)
{
	struct event_server *server = context;

	server->unserved += event_ring_put(server->ring, event);
	if (server->unserved >= SERVE_EVERY)
		serve_all(server);
}

static void server_flush(void *context)
{
	serve_all(context);
}

static int server_open(struct event_server *server, const char *path, size_t memory)
{
	const struct event_sink sink = {.context = server,
					.take = server_take,
					.flush = server_flush};
	_cleanup_close_ int fd = run_socket_listen(path, SOCK_STREAM, BACKLOG);
	int error;

	if (fd < 0)
		return fd;
	server->path = strdup(path);
	server->ring = event_ring_new(memory);
	if (!server->path || !server->ring)
		return -ENOMEM;
	loop_timer_class_init(server->loop, &server->patience_class, EVENT_REQUEST_MS);
	error = acceptor_reserve_open(&server->reserve, server->loop);
	if (error == 0)
		error = acceptor_start(&server->acceptor, &server->reserve, TAKE_FD(fd));
	return error < 0 ? error : events_add_sink(server->events, &sink);
}

int event_server_new(struct events *events, const char *path, size_t memory,
		     struct event_server **ret_server)
{
	struct event_server *server = malloc(sizeof(*server));
	int error;

	if (!server)
		return -ENOMEM;
	/* The batch's pages come with use. */
	memset(server, 0, offsetof(struct event_server, batch));
	server->events = events;
	server->loop = events_loop(events);
	server->reserve.fd = -1;
	server->acceptor.listener.fd = -1;
	server->acceptor.accepted = reader_came;
	server->acceptor.exhausted = no_descriptor;
	list_init(&server->readers);
	error = server_open(server, path, memory);
	if (error < 0) {
		event_server_free(server);
		return error;
	}
	*ret_server = server;
	return 0;
}

void event_server_free(struct event_server *server)
{
	struct list_link *link;

	if (!server)
		return;
	while ((link = list_first(&server->readers)))
		reader_end(container_of(link, struct event_reader, link));
	loop_flush(server->loop);
	acceptor_close(&server->acceptor);
	acceptor_reserve_close(&server->reserve);
	if (server->path)
		(void)unlink(server->path);
	event_ring_free(server->ring);
	free(server->path);
	free(server);
}
