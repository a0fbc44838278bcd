/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches the networks of a Docker engine over its unix socket.
 *
 * A thread keeps the engine's event stream open and reads the whole state again after each change.
 * The watcher's user sees whole states, not single changes, and so cannot miss one. API reference:
 * https://docs.docker.com/reference/api/engine/ (GET /events, /networks, /containers/json).
 *
 * The paths carry no version ("/v1.41/..."), so the engine answers in its current one. Older
 * engines refuse a fixed version, and so do engines whose lower limit (MinAPIVersion) is above it.
 * The few fields that are read here are the same in all versions.
 */
#ifndef SIDESTEP_DOCKER_NETWORKS_H
#define SIDESTEP_DOCKER_NETWORKS_H

#include <stdbool.h>
#include <stddef.h>

#include "docker/docker_network.h"
#include "docker/docker_tenant.h"

struct docker_networks_handler {
	/* Gets the whole state, ordered by id, after each possible change; two equal states in a
	 * row are possible. The array belongs to the watcher and ends with the call. */
	void (*networks)(const struct docker_network *networks, size_t count, void *context);
	/* Likewise gets the containers. @since_ns: when the engine was asked for them. May be NULL.
	 */
	void (*tenants)(const struct docker_tenant *tenants, size_t count, uint64_t since_ns,
			void *context);
	/* An event has come that may change the state, which networks() then gets. May be NULL. */
	void (*event)(void *context);
	/* Is called after the first attempt to connect, then at each change. The engine counts as
	 * connected when its event stream is open and its state was read; networks() follows at
	 * once. After a loss, the last state stays the best known one. @reason is NULL when
	 * connected. May be NULL. */
	void (*connected)(bool connected, const char *reason, void *context);
	/* The state is also read this long after the last time; 0: only after events. */
	unsigned int resync_ms;
};

struct docker_networks;

/*
 * Starts the watcher. It connects by itself, also after a loss, so an engine that does not run
 * (yet) is no error. The watcher's thread calls the handler, one call at a time, with all signals
 * blocked. The caller keeps *@handler until docker_networks_free(). @socket_path may start with
 * "unix://", as DOCKER_HOST does.
 * NULL: DOCKER_SOCKET_DEFAULT (docker_engine.h).
 *
 * Returns 0, -ENAMETOOLONG, -EINVAL (another scheme), -ENOMEM or -EAGAIN (no thread), logged.
 */
int docker_networks_new(const char *socket_path, const struct docker_networks_handler *handler,
			void *context, struct docker_networks **ret_networks);

/* Ends the thread and frees everything. It waits for a handler that is running, and no handler is
 * called after it. A handler must not call it. NULL is allowed. */
void docker_networks_free(struct docker_networks *networks);

#endif
