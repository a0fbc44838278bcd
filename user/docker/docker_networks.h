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

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/address.h"

#define DOCKER_SOCKET_DEFAULT "/var/run/docker.sock"

/* An answer beyond these limits counts as malformed. */
#define DOCKER_ANSWER_MAX     (16U << 20) /* bytes of one answer */
#define DOCKER_EVENT_MAX      (1U << 20)  /* bytes of one event */
#define DOCKER_NETWORKS_MAX   4096
#define DOCKER_RETRY_FIRST_MS 100  /* the first pause before a new connection; it doubles ... */
#define DOCKER_RETRY_LAST_MS  5000 /* ... up to this one */

/* IPAM.Config of a network. */
struct docker_subnet {
	struct prefix prefix;
	bool has_gateway;
	uint8_t gateway[16]; /* as in lib/address.h */
};

/* A running container on a network. A container that shares the network namespace of another one
 * (--network container:...) is on no network itself. */
struct docker_container {
	char *id; /* 64 hexadecimal digits */
	char *name;
	bool has_ipv4, has_ipv6;
	uint8_t ipv4[16]; /* as in lib/address.h */
	uint8_t ipv6[16];
};

/* A network of driver "bridge" and scope "local". */
struct docker_network {
	char *id;
	char *name;
	char *driver;
	char interface[IF_NAMESIZE]; /* the bridge's name on the host */
	struct docker_subnet *subnets;
	size_t subnet_count;
	struct docker_container *containers;
	size_t container_count;
};

struct docker_networks_handler {
	/* Gets the whole state, ordered by id, after each possible change; two equal states in a
	 * row are possible. The array belongs to the watcher and ends with the call. */
	void (*networks)(const struct docker_network *networks, size_t count, void *context);
	/* Is called after the first attempt to connect, then at each change. The engine counts as
	 * connected when its event stream is open and its state was read; networks() follows at
	 * once. After a loss, the last state stays the best known one. @reason is NULL when
	 * connected. May be NULL. */
	void (*connected)(bool connected, const char *reason, void *context);
};

struct docker_networks;

/*
 * Starts the watcher. It connects by itself, also after a loss, so an engine that does not run
 * (yet) is no error. The watcher's thread calls the handler, one call at a time, with all signals
 * blocked;
 * *@handler must outlive the watcher. @socket_path may start with "unix://", as DOCKER_HOST does.
 * NULL: DOCKER_SOCKET_DEFAULT.
 *
 * Returns 0, -ENAMETOOLONG, -EINVAL (another scheme), -ENOMEM or -EAGAIN (no thread), logged.
 */
int docker_networks_new(const char *socket_path, const struct docker_networks_handler *handler,
			void *context, struct docker_networks **ret_networks);

/* Ends the thread and frees everything. It waits for a handler that is running, and no handler is
 * called after it. A handler must not call it. NULL is allowed. */
void docker_networks_free(struct docker_networks *networks);

#endif
