/* SPDX-License-Identifier: Apache-2.0 */
/* A scripted Docker engine on a unix socket, for what a real one cannot be made to do. Only for
 * test_docker*.c; failures of the fake itself end the test program. */
#ifndef SIDESTEP_TESTS_DOCKER_FAKE_H
#define SIDESTEP_TESTS_DOCKER_FAKE_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FAKE_CONTAINERS 4
#define FAKE_HELD	16

/* GET /containers/ID/json */
struct fake_container {
	const char *id; /* NULL: unused */
	const char *body;
	int status;
};

struct fake {
	char directory[64];
	char path[96];
	int listener;
	int stream; /* the open event stream, or -1 */
	pthread_t thread;
	pthread_mutex_t lock;
	/* The script; under the lock. */
	const char *networks;	/* body of GET /networks */
	size_t networks_filler; /* so many blanks in front of it */
	int status;		/* of GET /networks */
	int events_status;
	bool stall_networks; /* never answered */
	bool stall_events;
	const char *list;				   /* body of GET /containers/json */
	struct fake_container containers[FAKE_CONTAINERS]; /* status 404 for others */
	bool hold; /* inspections are not answered before fake_let_go() */
	int held[FAKE_HELD];
	char held_answers[FAKE_HELD][1024]; /* as they were when they were asked for */
	int held_status[FAKE_HELD];
	size_t held_count;
	int remove_status; /* of DELETE /containers/ID */
	/* What was seen; under the lock. */
	unsigned int fetches; /* GET /networks */
	unsigned int streams; /* GET /events */
	unsigned int lists;   /* GET /containers/json */
	unsigned int inspections;
	unsigned int removals;
	char events_request[1024];
	char removal[1024];
	pthread_cond_t asked; /* at each request */
};

#define FAKE_CHECK(condition)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			perror("docker_fake: " #condition);                                        \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* Waits until @counter is at least @wanted; 8 s at most. Returns false after that. */
static inline bool fake_wait(pthread_mutex_t *lock, pthread_cond_t *news,
			     const unsigned int *counter, unsigned int wanted)
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

static inline bool fake_send(int fd, const char *data, size_t size)
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

static inline void fake_answer(int fd, int status, const char *body, size_t filler)
{
	char head[256];
	char *blanks = malloc(filler + 1);

	FAKE_CHECK(blanks);
	memset(blanks, ' ', filler + 1);
	(void)snprintf(head, sizeof(head),
		       "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status,
		       filler + strlen(body));
	if (fake_send(fd, head, strlen(head)) && fake_send(fd, blanks, filler))
		(void)fake_send(fd, body, strlen(body));
	free(blanks);
}

/* Returns true when the connection stays open as the event stream. */
static inline bool fake_events(struct fake *fake, int fd, const char *request)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
				   "Transfer-Encoding: chunked\r\n\r\n";

	fake->streams++;
	(void)snprintf(fake->events_request, sizeof(fake->events_request), "%s", request);
	if (fake->events_status != 200) {
		fake_answer(fd, fake->events_status, "{\"message\":\"not today\"}", 0);
		return false;
	}
	if (fake->stream >= 0)
		(void)close(fake->stream);
	fake->stream = fd;
	if (!fake->stall_events)
		(void)fake_send(fd, head, strlen(head));
	return true;
}

/* Returns true when the answer is held back. */
static inline bool fake_inspect(struct fake *fake, int fd, const char *id)
{
	const char *body = "{\"message\":\"No such container\"}";
	int status = 404;
	size_t i;

	fake->inspections++;
	for (i = 0; i < FAKE_CONTAINERS; i++) {
		const struct fake_container *container = &fake->containers[i];

		if (container->id && strncmp(id, container->id, strlen(container->id)) == 0) {
			body = container->body;
			status = container->status;
		}
	}
	if (!fake->hold) {
		fake_answer(fd, status, body, 0);
		return false;
	}
	FAKE_CHECK(fake->held_count < FAKE_HELD);
	fake->held[fake->held_count] = fd;
	fake->held_status[fake->held_count] = status;
	(void)snprintf(fake->held_answers[fake->held_count], sizeof(fake->held_answers[0]), "%s",
		       body);
	fake->held_count++;
	return true;
}

/* Answers the inspections that were held, and holds no more. */
static inline void fake_let_go(struct fake *fake)
{
	size_t i;

	(void)pthread_mutex_lock(&fake->lock);
	for (i = 0; i < fake->held_count; i++) {
		fake_answer(fake->held[i], fake->held_status[i], fake->held_answers[i], 0);
		(void)close(fake->held[i]);
	}
	fake->held_count = 0;
	fake->hold = false;
	(void)pthread_mutex_unlock(&fake->lock);
}

/* Returns true when the connection stays open. */
static inline bool fake_route(struct fake *fake, int fd, const char *request)
{
	if (strncmp(request, "GET /events?", 12) == 0)
		return fake_events(fake, fd, request);
	if (strncmp(request, "GET /networks ", 14) == 0) {
		fake->fetches++;
		if (!fake->stall_networks)
			fake_answer(fd, fake->status, fake->networks, fake->networks_filler);
		return fake->stall_networks;
	}
	if (strncmp(request, "GET /containers/json ", 21) == 0) {
		fake->lists++;
		fake_answer(fd, 200, fake->list, 0);
		return false;
	}
	if (strncmp(request, "GET /containers/", 16) == 0)
		return fake_inspect(fake, fd, request + 16);
	if (strncmp(request, "DELETE /containers/", 19) == 0) {
		fake->removals++;
		(void)snprintf(fake->removal, sizeof(fake->removal), "%s", request);
		fake_answer(fd, fake->remove_status, "", 0);
		return false;
	}
	fake_answer(fd, 404, "{\"message\":\"page not found\"}", 0);
	return false;
}

static inline void fake_serve(struct fake *fake, int fd)
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
	keep = fake_route(fake, fd, request);
	(void)pthread_cond_broadcast(&fake->asked);
	(void)pthread_mutex_unlock(&fake->lock);
	/* A stalled one is left to the end of the process. */
	if (!keep)
		(void)close(fd);
}

static inline void *fake_run(void *argument)
{
	struct fake *fake = argument;
	int fd;

	while ((fd = accept4(fake->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		fake_serve(fake, fd);
	return NULL;
}

/* No socket yet: fake_listen() makes it. */
static inline void fake_prepare(struct fake *fake)
{
	*fake = (struct fake) {.listener = -1,
			       .stream = -1,
			       .status = 200,
			       .events_status = 200,
			       .networks = "[]",
			       .list = "[]",
			       .remove_status = 204,
			       .asked = PTHREAD_COND_INITIALIZER,
			       .lock = PTHREAD_MUTEX_INITIALIZER};
	(void)snprintf(fake->directory, sizeof(fake->directory), "/tmp/docker-fake-XXXXXX");
	FAKE_CHECK(mkdtemp(fake->directory));
	(void)snprintf(fake->path, sizeof(fake->path), "%s/docker.sock", fake->directory);
}

static inline void fake_listen(struct fake *fake)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, fake->path, strlen(fake->path));
	fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FAKE_CHECK(fake->listener >= 0);
	FAKE_CHECK(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	FAKE_CHECK(listen(fake->listener, 16) == 0);
	FAKE_CHECK(pthread_create(&fake->thread, NULL, fake_run, fake) == 0);
}

static inline void fake_hang_up(struct fake *fake)
{
	(void)pthread_mutex_lock(&fake->lock);
	if (fake->stream >= 0)
		(void)close(fake->stream);
	fake->stream = -1;
	(void)pthread_mutex_unlock(&fake->lock);
}

/* The engine is gone: no listener, no stream, no socket file. */
static inline void fake_stop(struct fake *fake)
{
	if (fake->listener >= 0) {
		(void)shutdown(fake->listener, SHUT_RDWR);
		(void)pthread_join(fake->thread, NULL);
		(void)close(fake->listener);
		fake->listener = -1;
	}
	fake_hang_up(fake);
	(void)unlink(fake->path);
}

static inline void fake_release(struct fake *fake)
{
	fake_stop(fake);
	(void)rmdir(fake->directory);
}

/* Sends @text on the event stream in pieces of @piece bytes, an HTTP chunk each. */
static inline void fake_event(struct fake *fake, const char *text, size_t piece)
{
	size_t size = strlen(text);
	char chunk[64];

	(void)pthread_mutex_lock(&fake->lock);
	while (size > 0 && fake->stream >= 0) {
		size_t length = size < piece ? size : piece;

		(void)snprintf(chunk, sizeof(chunk), "%zx\r\n", length);
		if (!fake_send(fake->stream, chunk, strlen(chunk)) ||
		    !fake_send(fake->stream, text, length) || !fake_send(fake->stream, "\r\n", 2))
			break;
		text += length;
		size -= length;
	}
	(void)pthread_mutex_unlock(&fake->lock);
}

#endif
