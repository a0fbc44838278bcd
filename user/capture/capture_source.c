// SPDX-License-Identifier: Apache-2.0
#include "capture/capture_source.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/capture_wire.h"
#include "lib/log.h"
#include "lib/run_listener.h"
#include "lib/time_text.h"
#include "lib/util.h"

/* The most bytes that wait for a reader, with the kernel's overhead. Forced, because
 * net.core.wmem_max is lower by default. */
#define READER_BUFFER (8 << 20)

struct reader {
	int fd;	      /* -1: free */
	bool started; /* it has sent its request */
	bool data;    /* it wants plaintext */
	uint64_t lost;
};

struct capture_source {
	struct run_listener listener;
	int epoll;
	struct tls_tap tap;
	atomic_uint_fast64_t ids;
	atomic_uint started; /* readers */
	pthread_mutex_t lock;
	struct reader readers[CAPTURE_READERS_MAX]; /* by the lock */
};

/* Tells how many messages were lost. Returns false if some were, and the reader cannot take that
 * either. */
static bool tell_lost(struct reader *reader)
{
	const struct capture_frame lost = {.type = CAPTURE_LOST,
					   .id = reader->lost,
					   .time_us = time_text_now()};

	if (reader->lost > 0 &&
	    send(reader->fd, &lost, sizeof(lost), MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(lost))
		return false;
	reader->lost = 0;
	return true;
}

/* Sends one message, or counts it as lost. A reader that has gone is closed by
 * capture_source_event(). */
static void reader_send(struct reader *reader, const struct capture_frame *frame,
			const void *payload, size_t size)
{
	struct iovec parts[] = {{(void *)frame, sizeof(*frame)}, {(void *)payload, size}};
	const struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_SIZE(parts)};

	if (!tell_lost(reader) || sendmsg(reader->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		reader->lost++;
}

static void send_all(struct capture_source *source, const struct capture_frame *frame,
		     const void *payload, size_t size)
{
	size_t i;

	(void)pthread_mutex_lock(&source->lock);
	for (i = 0; i < CAPTURE_READERS_MAX; i++) {
		struct reader *reader = &source->readers[i];

		if (reader->started && (reader->data || frame->type != CAPTURE_DATA))
			reader_send(reader, frame, payload, size);
	}
	(void)pthread_mutex_unlock(&source->lock);
}

static bool is_idle(struct capture_source *source)
{
	return atomic_load_explicit(&source->started, memory_order_relaxed) == 0;
}

static uint64_t tap_open(void *context, const struct sockaddr_storage *sender,
			 const struct sockaddr_storage *destination, const char *name)
{
	struct capture_source *source = context;
	struct capture_frame frame = {.type = CAPTURE_OPEN};
	struct capture_open open = {.source = *sender, .destination = *destination};

	if (is_idle(source))
		return 0;
	frame.id = atomic_fetch_add(&source->ids, 1) + 1;
	frame.time_us = time_text_now();
	(void)snprintf(open.name, sizeof(open.name), "%s", name);
	send_all(source, &frame, &open, sizeof(open));
	return frame.id;
}

static void tap_secret(void *context, const char *line)
{
	struct capture_source *source = context;
	struct capture_frame frame = {.type = CAPTURE_SECRET};

	if (is_idle(source))
		return;
	frame.time_us = time_text_now();
	send_all(source, &frame, line, strlen(line));
}

static void tap_data(void *context, uint64_t id, enum tls_tap_direction direction, const char *data,
		     size_t size)
{
	struct capture_source *source = context;
	struct capture_frame frame = {.type = CAPTURE_DATA, .direction = direction, .id = id};

	if (is_idle(source))
		return;
	frame.time_us = time_text_now();
	while (size > 0) {
		size_t part = size < CAPTURE_PAYLOAD ? size : CAPTURE_PAYLOAD;

		send_all(source, &frame, data, part);
		data += part;
		size -= part;
	}
}

static void tap_close(void *context, uint64_t id)
{
	struct capture_source *source = context;
	struct capture_frame frame = {.type = CAPTURE_CLOSE, .id = id};

	if (is_idle(source))
		return;
	frame.time_us = time_text_now();
	send_all(source, &frame, NULL, 0);
}

int capture_source_new(struct capture_source **ret_source)
{
	struct capture_source *source = calloc(1, sizeof(*source));
	int error = -ENOMEM;
	size_t i;

	if (source) {
		*source = (struct capture_source) {
			.listener = {.fd = -1, .reserve = -1},
			.lock = PTHREAD_MUTEX_INITIALIZER,
			.tap = {source, tap_open, tap_secret, tap_data, tap_close},
		};
		for (i = 0; i < CAPTURE_READERS_MAX; i++)
			source->readers[i].fd = -1;
		source->epoll = epoll_create1(EPOLL_CLOEXEC);
		error = source->epoll < 0 ? -errno : 0;
	}
	if (error == 0)
		error = run_listener_open(&source->listener, CAPTURE_SOCKET, CAPTURE_READERS_MAX,
					  source->epoll, CAPTURE_READERS_MAX);
	if (error == 0) {
		*ret_source = source;
		return 0;
	}
	log_warning("captures are not possible: cannot listen on %s: %s",
		    source && *source->listener.path ? source->listener.path : RUN_SOCKET_FOLDER,
		    strerror(-error));
	capture_source_free(source);
	return error;
}

int capture_source_fd(const struct capture_source *source)
{
	return source->epoll;
}

const struct tls_tap *capture_source_tap(struct capture_source *source)
{
	return &source->tap;
}

const char *capture_source_path(const struct capture_source *source)
{
	return source->listener.path;
}

static void reader_stop(struct capture_source *source, size_t index)
{
	struct reader *reader = &source->readers[index];
	bool started = reader->started;

	(void)pthread_mutex_lock(&source->lock);
	(void)close(reader->fd);
	*reader = (struct reader) {.fd = -1};
	(void)pthread_mutex_unlock(&source->lock);
	if (!started)
		return;
	(void)atomic_fetch_sub(&source->started, 1);
	log_info("a capture has ended");
}

static void accept_reader(struct capture_source *source)
{
	const int size = READER_BUFFER;
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
	int fd = run_listener_accept(&source->listener);
	uint32_t i = 0;

	if (fd < 0)
		return;
	while (i < CAPTURE_READERS_MAX && source->readers[i].fd >= 0)
		i++;
	event.data.u32 = i;
	if (i == CAPTURE_READERS_MAX || epoll_ctl(source->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		(void)close(fd);
		return;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	(void)pthread_mutex_lock(&source->lock);
	source->readers[i] = (struct reader) {.fd = fd};
	(void)pthread_mutex_unlock(&source->lock);
}

/* Takes a reader's request. Anything else that comes ends it. */
static void reader_event(struct capture_source *source, size_t index)
{
	struct reader *reader = &source->readers[index];
	struct capture_request request;
	ssize_t size = recv(reader->fd, &request, sizeof(request), MSG_DONTWAIT);

	if (size < 0 && errno == EAGAIN) {
		/* It reads again. */
		(void)pthread_mutex_lock(&source->lock);
		(void)tell_lost(reader);
		(void)pthread_mutex_unlock(&source->lock);
		return;
	}
	if (size != sizeof(request) || request.version != CAPTURE_VERSION || reader->started) {
		reader_stop(source, index);
		return;
	}
	(void)pthread_mutex_lock(&source->lock);
	reader->data = request.data != 0;
	reader->started = true;
	(void)pthread_mutex_unlock(&source->lock);
	(void)atomic_fetch_add(&source->started, 1);
	log_info("a capture runs: its reader gets the TLS secrets%s of new connections whose TLS "
		 "ends here",
		 request.data ? " and the plaintext" : "");
}

void capture_source_event(struct capture_source *source)
{
	struct epoll_event events[CAPTURE_READERS_MAX + 1];
	int count = epoll_wait(source->epoll, events, ARRAY_SIZE(events), 0), i;

	for (i = 0; i < count; i++) {
		if (events[i].data.u32 == CAPTURE_READERS_MAX)
			accept_reader(source);
		else if (source->readers[events[i].data.u32].fd >= 0)
			reader_event(source, events[i].data.u32);
	}
}

void capture_source_free(struct capture_source *source)
{
	size_t i;

	if (!source)
		return;
	for (i = 0; i < CAPTURE_READERS_MAX; i++)
		if (source->readers[i].fd >= 0)
			(void)close(source->readers[i].fd);
	run_listener_close(&source->listener);
	(void)safe_close(source->epoll);
	free(source);
}
