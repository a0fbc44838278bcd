// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_broker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/agent_asks.h"
#include "docker/docker_gate.h"
#include "lib/clock.h"
#include "lib/util.h"

/* Bytes of one splice(2), more than a pipe takes. */
#define SPLICE_SIZE (1U << 20)

/* An inspection takes the engine a millisecond or more, so an honest watcher never spends this. */
static const struct agent_allowance asks_allowed = {.burst = 8192, .per_minute = 60000};

/* Moves an answer from the engine's socket to the pipe that the watcher reads. */
struct relay {
	struct list_link link;
	struct agent_broker *broker;
	struct loop_handler engine;
	struct loop_handler pipe; /* its writing end */
	struct loop_release release;
};

static void relay_end(struct relay *relay)
{
	struct agent_broker *broker = relay->broker;

	loop_close(&relay->engine);
	loop_close(&relay->pipe);
	list_remove(&relay->link);
	broker->relay_count--;
	loop_free_later(broker->loop, &relay->release, relay);
}

/* Either end is ready or gone. Both are edge-triggered, so it moves all that it can. The bytes stay
 * in the kernel, and the pipe's size limits them. */
static void relay_ready(struct loop_handler *handler, uint32_t events)
{
	struct relay *relay = handler->owner;
	ssize_t moved;

	(void)events;
	do {
		moved = splice(relay->engine.fd, NULL, relay->pipe.fd, NULL, SPLICE_SIZE,
			       SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	} while (moved > 0 || (moved < 0 && errno == EINTR));
	/* EAGAIN: the socket is empty, or the pipe is full. EPIPE: the watcher has closed its end.
	 */
	if (moved == 0 || errno != EAGAIN)
		relay_end(relay);
}

/* Takes @engine_fd and @pipe_fd also on failure. */
static int relay_new(struct agent_broker *broker, int engine_fd, int pipe_fd)
{
	_cleanup_close_ int engine = engine_fd, pipe = pipe_fd;
	struct relay *relay = calloc(1, sizeof(*relay));
	int error;

	if (!relay)
		return -ENOMEM;
	relay->broker = broker;
	relay->engine = (struct loop_handler) {.fd = -1, .ready = relay_ready, .owner = relay};
	relay->pipe = relay->engine;
	error = loop_add(broker->loop, &relay->engine, engine, EPOLLIN | EPOLLET);
	if (error == 0) {
		(void)TAKE_FD(engine);
		error = loop_add(broker->loop, &relay->pipe, pipe, EPOLLOUT | EPOLLET);
	}
	if (error < 0) {
		loop_close(&relay->engine);
		free(relay);
		return error;
	}
	(void)TAKE_FD(pipe);
	list_append(&broker->relays, &relay->link);
	broker->relay_count++;
	return 0;
}

/* Sends @ask. A new socket has room for all of it. Returns the engine's connection or a negative
 * errno. */
static int send_request(const struct agent_broker *broker, const struct docker_ask *ask)
{
	_cleanup_free_ char *text = docker_engine_format(ask->method, ask->path, ask->query);
	_cleanup_close_ int fd = -1;
	ssize_t sent;

	if (!text)
		return -ENOMEM;
	fd = docker_engine_connect(broker->engine);
	if (fd < 0)
		return fd;
	sent = send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		return -errno;
	return (size_t)sent == strlen(text) ? TAKE_FD(fd) : -EIO;
}

/* Sends @ask and starts to pass its answer on. Returns the pipe's reading end or a negative errno.
 */
static int start(struct agent_broker *broker, const struct docker_ask *ask)
{
	_cleanup_close_ int read_end = -1, write_end = -1;
	int ends[2], engine, error;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	read_end = ends[0];
	write_end = ends[1];
	engine = send_request(broker, ask);
	if (engine < 0)
		return engine;
	error = relay_new(broker, engine, TAKE_FD(write_end));
	return error < 0 ? error : TAKE_FD(read_end);
}

/* Returns what is wrong with @ask of @size bytes, or NULL. */
static const char *check(struct agent_broker *broker, const struct docker_ask *ask, size_t size)
{
	if (size != sizeof(*ask) || !docker_gate_passes(ask, broker->removable))
		return "asked for what it may not have";
	if (broker->relay_count >= AGENT_BROKER_RELAYS_MAX ||
	    !agent_budget_left(&broker->budget, &asks_allowed, clock_ms()))
		return "asked too often";
	return NULL;
}

static void asked(struct loop_handler *handler, uint32_t events)
{
	struct agent_broker *broker = container_of(handler, struct agent_broker, asks);
	_cleanup_close_ int read_end = -1;
	struct docker_ask ask;
	const char *wrong;
	ssize_t size = agent_asks_take(handler->fd, &ask, sizeof(ask));

	(void)events;
	if (size == 0)
		return;
	if (size < 0) {
		broker->violated(broker->context, NULL);
		return;
	}
	wrong = check(broker, &ask, (size_t)size);
	if (!wrong) {
		agent_budget_spend(&broker->budget);
		read_end = start(broker, &ask);
		wrong = agent_asks_answer(handler->fd, read_end);
	}
	if (wrong)
		broker->violated(broker->context, wrong);
}

void agent_broker_init(struct agent_broker *broker, struct loop *loop,
		       const struct docker_engine *engine, const char *removable,
		       void (*violated)(void *context, const char *what), void *context)
{
	*broker = (struct agent_broker) {
		.loop = loop,
		.engine = engine,
		.removable = removable,
		.asks = {.fd = -1, .ready = asked},
		.violated = violated,
		.context = context,
	};
	list_init(&broker->relays);
}

int agent_broker_open(struct agent_broker *broker, int asks_fd)
{
	return loop_add(broker->loop, &broker->asks, asks_fd, EPOLLIN);
}

void agent_broker_close(struct agent_broker *broker)
{
	struct list_link *link;

	loop_close(&broker->asks);
	while ((link = list_first(&broker->relays)) != NULL)
		relay_end(container_of(link, struct relay, link));
}
