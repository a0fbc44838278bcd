/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends the watcher's requests to Docker's socket, which the watcher itself cannot reach. It sends
 * only what docker_gate_passes(), and passes the answers on without reading them.
 */
#ifndef SIDESTEP_AGENT_BROKER_H
#define SIDESTEP_AGENT_BROKER_H

#include <stddef.h>
#include <stdint.h>

#include "agent/agent_budget.h"
#include "docker/docker_engine.h"
#include "lib/list.h"
#include "stream/loop.h"

/* Answers that are passed on at the same time. An honest watcher has at most 17: docker_sidecars'
 * requests (DOCKER_REQUESTS_MAX) and one of docker_orphans. */
#define AGENT_BROKER_RELAYS_MAX 24

/* Embedded in its owner. */
struct agent_broker {
	struct loop *loop;
	const struct docker_engine *engine;
	const char *removable; /* the container that may be removed; "": none */
	struct loop_handler asks;
	struct list_link relays;
	size_t relay_count;
	struct agent_budget budget;
	/* The watcher did @what an honest one does not. NULL: it closed its socket, or has ended.
	 */
	void (*violated)(void *context, const char *what);
	void *context;
};

/* @engine and @removable are the caller's and stay. All functions are called from the loop's
 * thread.
 */
void agent_broker_init(struct agent_broker *broker, struct loop *loop,
		       const struct docker_engine *engine, const char *removable,
		       void (*violated)(void *context, const char *what), void *context);

/* Serves the watcher at the other end of the nonblocking socket @asks_fd. Returns 0 with @asks_fd
 * taken, or a negative errno. */
int agent_broker_open(struct agent_broker *broker, int asks_fd);

/* Ends all requests. It may be opened again. */
void agent_broker_close(struct agent_broker *broker);

#endif
