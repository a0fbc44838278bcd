/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches the networks of a Docker engine over its unix socket.
 *
 * A thread keeps the engine's event stream open and reads the whole state anew whenever something
 * in it changed; whoever watches never sees single changes and so cannot miss one. API reference:
 * https://docs.docker.com/reference/api/engine/ (GET /events, /networks, /containers/json).
 *
 * The paths carry no version ("/v1.41/..."): the engine then speaks its own current one. A fixed
 * version is refused by engines that are older, and by those whose lower limit has moved above it
 * (MinAPIVersion), while the few fields read here are the same in all of them.
 */
#ifndef SIDESTEP_DOCKER_NETWORKS_H
#define SIDESTEP_DOCKER_NETWORKS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/address.h"

#define DOCKER_SOCKET_DEFAULT "/var/run/docker.sock"

/* Limits: what lies beyond them is treated like any other malformed answer. */
#define DOCKER_ANSWER_MAX     (16U << 20) /* bytes of one answer */
#define DOCKER_EVENT_MAX      (1U << 20)  /* bytes of one event */
#define DOCKER_NETWORKS_MAX   4096
#define DOCKER_RETRY_FIRST_MS 100 /* wait before connecting again; doubles up to ... */
#define DOCKER_RETRY_LAST_MS  5000

/* IPAM.Config of a network. */
struct docker_subnet {
	struct prefix prefix;
	bool has_gateway;
	uint8_t gateway[16]; /* as in address.h */
};

/* A running container on a network. Those that share another one's network namespace
 * (--network container:...) are not on any network of their own. */
struct docker_container {
	char *id; /* 64 hexadecimal digits */
	char *name;
	bool has_ipv4, has_ipv6;
	uint8_t ipv4[16]; /* as in address.h */
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

struct docker_watch_handler {
	/* The whole state, ordered by id, each time that something may have changed; equal ones in
	 * a row are possible. The array belongs to the watcher and ends with the call. */
	void (*networks)(const struct docker_network *networks, size_t count, void *context);
	/* First once the first attempt succeeded or failed, then at each change. The engine counts
	 * as connected when its events arrive and its state was read; networks() follows at once.
	 * While it is not, what networks() said last is the best that is known. @reason is NULL
	 * when connected. May be NULL. */
	void (*connected)(bool connected, const char *reason, void *context);
};

struct docker_watch;

/*
 * Starts watching; connecting, also again after a loss, is the watcher's own business, so an engine
 * that is not there (yet) is no error. The handler is called from the watcher's thread, one call
 * at a time, with all signals blocked; *@handler must outlive the watcher. @socket_path may have
 * "unix://" in front, as DOCKER_HOST does; NULL: DOCKER_SOCKET_DEFAULT.
 *
 * Returns 0, -ENAMETOOLONG, -EINVAL (another scheme), -ENOMEM or -EAGAIN (no thread), logged.
 */
int docker_watch_new(const char *socket_path, const struct docker_watch_handler *handler,
		     void *context, struct docker_watch **ret_watch);

/* Ends the thread and frees everything; no handler is called any more. Waits for nothing but a
 * handler that is running. Not to be called from a handler. NULL is allowed. */
void docker_watch_free(struct docker_watch *watch);

#endif
