// SPDX-License-Identifier: Apache-2.0
#include "support/docker_fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			perror("docker_fake: " #condition);                                        \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

bool docker_fake_wait(pthread_mutex_t *lock, pthread_cond_t *news, const unsigned int *counter,
		      unsigned int wanted)
{
	struct timespec until;
	bool there;
	int result = 0;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 8;
	(void)pthread_mutex_lock(lock);
	while (*counter < wanted && result == 0)
		result = pthread_cond_timedwait(news, lock, &until);
	there = *counter >= wanted;
	(void)pthread_mutex_unlock(lock);
	return there;
}

static bool send_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		data += sent;
		size -= (size_t)sent;
	}
	return true;
}

static void answer(int fd, int status, const char *body, size_t filler)
{
	char head[256];
	char *blanks = malloc(filler + 1);

	CHECK(blanks);
	memset(blanks, ' ', filler + 1);
	(void)snprintf(head, sizeof(head),
		       "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status,
		       filler + strlen(body));
	if (send_all(fd, head, strlen(head)) && send_all(fd, blanks, filler))
		(void)send_all(fd, body, strlen(body));
	free(blanks);
}

/* Returns true when the connection stays open as the event stream. */
static bool open_stream(struct docker_fake *fake, int fd, const char *request)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
				   "Transfer-Encoding: chunked\r\n\r\n";

	fake->streams++;
	(void)snprintf(fake->events_request, sizeof(fake->events_request), "%s", request);
	if (fake->events_status != 200) {
		answer(fd, fake->events_status, "{\"message\":\"not today\"}", 0);
		return false;
	}
	if (fake->stream >= 0)
		(void)close(fake->stream);
	fake->stream = fd;
	if (!fake->stall_events)
		(void)send_all(fd, head, strlen(head));
	return true;
}

/* Returns true when the answer is held back. */
static bool inspect(struct docker_fake *fake, int fd, const char *id)
{
	const char *body = "{\"message\":\"No such container\"}";
	int status = 404;
	size_t i;

	fake->inspections++;
	for (i = 0; i < DOCKER_FAKE_CONTAINERS; i++) {
		const struct docker_fake_container *container = &fake->containers[i];

		if (container->id && strncmp(id, container->id, strlen(container->id)) == 0) {
			body = container->body;
			status = container->status;
		}
	}
	if (!fake->hold) {
		answer(fd, status, body, 0);
		return false;
	}
	CHECK(fake->held_count < DOCKER_FAKE_HELD);
	fake->held[fake->held_count] = fd;
	fake->held_status[fake->held_count] = status;
	(void)snprintf(fake->held_answers[fake->held_count], sizeof(fake->held_answers[0]), "%s",
		       body);
	fake->held_count++;
	return true;
}

void docker_fake_let_go(struct docker_fake *fake)
{
	size_t i;

	(void)pthread_mutex_lock(&fake->lock);
	for (i = 0; i < fake->held_count; i++) {
		answer(fake->held[i], fake->held_status[i], fake->held_answers[i], 0);
		(void)close(fake->held[i]);
	}
	fake->held_count = 0;
	fake->hold = false;
	(void)pthread_mutex_unlock(&fake->lock);
}

/* Returns true when the connection stays open. */
static bool route(struct docker_fake *fake, int fd, const char *request)
{
	if (strncmp(request, "GET /events?", 12) == 0)
		return open_stream(fake, fd, request);
	if (strncmp(request, "GET /networks ", 14) == 0) {
		fake->fetches++;
		if (!fake->stall_networks)
			answer(fd, fake->status, fake->networks, fake->networks_filler);
		return fake->stall_networks;
	}
	if (strncmp(request, "GET /containers/json", 20) == 0) {
		fake->lists++;
		answer(fd, 200, fake->list, 0);
		return false;
	}
	if (strncmp(request, "GET /containers/", 16) == 0)
		return inspect(fake, fd, request + 16);
	if (strncmp(request, "DELETE /containers/", 19) == 0) {
		fake->removals++;
		(void)snprintf(fake->removal, sizeof(fake->removal), "%s", request);
		answer(fd, fake->remove_status, "", 0);
		return false;
	}
	answer(fd, 404, "{\"message\":\"page not found\"}", 0);
	return false;
}

static void serve(struct docker_fake *fake, int fd)
{
	char request[1024];
	size_t used = 0;
	bool keep = false;

	request[0] = '\0';
	while (!strstr(request, "\r\n\r\n")) {
		ssize_t got = recv(fd, request + used, sizeof(request) - 1 - used, 0);

		if (got <= 0) {
			(void)close(fd);
			return;
		}
		used += (size_t)got;
		request[used] = '\0';
	}
	(void)pthread_mutex_lock(&fake->lock);
	keep = route(fake, fd, request);
	(void)pthread_cond_broadcast(&fake->asked);
	(void)pthread_mutex_unlock(&fake->lock);
	/* A stalled one is left to the end of the process. */
	if (!keep)
		(void)close(fd);
}

static void *run(void *argument)
{
	struct docker_fake *fake = argument;
	int fd;

	while ((fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		serve(fake, fd);
	return NULL;
}

void docker_fake_prepare(struct docker_fake *fake)
{
	*fake = (struct docker_fake) {.listener = -1,
				      .stream = -1,
				      .status = 200,
				      .events_status = 200,
				      .networks = "[]",
				      .list = "[]",
				      .remove_status = 204,
				      .asked = PTHREAD_COND_INITIALIZER,
				      .lock = PTHREAD_MUTEX_INITIALIZER};
	(void)snprintf(fake->directory, sizeof(fake->directory), "/tmp/docker-fake-XXXXXX");
	CHECK(mkdtemp(fake->directory));
	(void)snprintf(fake->path, sizeof(fake->path), "%s/docker.sock", fake->directory);
}

void docker_fake_listen(struct docker_fake *fake)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, fake->path, strlen(fake->path));
	fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(fake->listener >= 0);
	CHECK(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(listen(fake->listener, 16) == 0);
	CHECK(pthread_create(&fake->thread, NULL, run, fake) == 0);
}

void docker_fake_hang_up(struct docker_fake *fake)
{
	(void)pthread_mutex_lock(&fake->lock);
	if (fake->stream >= 0)
		(void)close(fake->stream);
	fake->stream = -1;
	(void)pthread_mutex_unlock(&fake->lock);
}

void docker_fake_stop(struct docker_fake *fake)
{
	if (fake->listener >= 0) {
		(void)shutdown(fake->listener, SHUT_RDWR);
		(void)pthread_join(fake->thread, NULL);
		(void)close(fake->listener);
		fake->listener = -1;
	}
	docker_fake_hang_up(fake);
	(void)unlink(fake->path);
}

void docker_fake_release(struct docker_fake *fake)
{
	docker_fake_stop(fake);
	(void)rmdir(fake->directory);
}

void docker_fake_event(struct docker_fake *fake, const char *text, size_t piece)
{
	size_t size = strlen(text);
	char chunk[64];

	(void)pthread_mutex_lock(&fake->lock);
	while (size > 0 && fake->stream >= 0) {
		size_t length = size < piece ? size : piece;

		(void)snprintf(chunk, sizeof(chunk), "%zx\r\n", length);
		if (!send_all(fake->stream, chunk, strlen(chunk)) ||
		    !send_all(fake->stream, text, length) || !send_all(fake->stream, "\r\n", 2))
			break;
		text += length;
		size -= length;
	}
	(void)pthread_mutex_unlock(&fake->lock);
}

void docker_fake_end_stream(struct docker_fake *fake)
{
	(void)pthread_mutex_lock(&fake->lock);
	(void)send_all(fake->stream, "0\r\n\r\n", 5);
	(void)pthread_mutex_unlock(&fake->lock);
}

void docker_seen_init(struct docker_seen *seen)
{
	*seen = (struct docker_seen) {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.news = PTHREAD_COND_INITIALIZER,
	};
}

void docker_seen_state(struct docker_seen *seen, const char *text, bool used)
{
	(void)pthread_mutex_lock(&seen->lock);
	seen->states++;
	seen->used += used;
	(void)snprintf(seen->text, sizeof(seen->text), "%s", text);
	(void)pthread_cond_signal(&seen->news);
	(void)pthread_mutex_unlock(&seen->lock);
}

void docker_seen_connected(bool connected, const char *reason, void *context)
{
	struct docker_seen *seen = context;

	(void)pthread_mutex_lock(&seen->lock);
	if (connected)
		seen->back++;
	else
		seen->lost++;
	(void)snprintf(seen->reason, sizeof(seen->reason), "%s", reason ? reason : "");
	(void)pthread_cond_signal(&seen->news);
	(void)pthread_mutex_unlock(&seen->lock);
}

void docker_seen_assert_text(struct docker_seen *seen, const char *wanted)
{
	char text[sizeof(seen->text)];

	(void)pthread_mutex_lock(&seen->lock);
	memcpy(text, seen->text, sizeof(text));
	(void)pthread_mutex_unlock(&seen->lock);
	assert_string_equal(text, wanted);
}

void docker_seen_assert_reason(struct docker_seen *seen, const char *part)
{
	char reason[sizeof(seen->reason)];

	(void)pthread_mutex_lock(&seen->lock);
	memcpy(reason, seen->reason, sizeof(reason));
	(void)pthread_mutex_unlock(&seen->lock);
	if (!strstr(reason, part))
		fail_msg("'%s' is not in '%s'", part, reason);
}
