/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches which sidecars run on a Docker engine, and their first processes. With guarded names, it
 * watches all containers, also those that do not run yet.
 *
 * It works like docker_networks, with a shorter way for urgent news. After an event of a container,
 * only that container is inspected, which takes a few milliseconds from its start to the handler.
 * The event itself is never trusted; it only names a container. A second later the whole list is
 * read too. API reference: https://docs.docker.com/reference/api/engine/ (GET /events,
 * /containers/json, /containers/{id}/json).
 */
#ifndef SIDESTEP_DOCKER_SIDECARS_H
#define SIDESTEP_DOCKER_SIDECARS_H

#include <stddef.h>

#include "docker/docker_engine.h"
#include "docker/docker_label.h"
#include "docker/docker_sidecar.h"

/* Containers that are inspected at the same time. */
#define DOCKER_INSPECTIONS_MAX 8

struct docker_sidecars_handler {
	/* Gets all running sidecars, or all known containers if any name is guarded. They are
	 * ordered by id. Behind them are the containers of which only the name is wanted. It is
	 * called after each possible change; two equal lists in a row are possible. The array
	 * belongs to the watcher and ends with the call. */
	void (*sidecars)(const struct docker_sidecar *sidecars, size_t count, void *context);
	/* As in struct docker_networks_handler; sidecars() follows at once. May be NULL. */
	void (*connected)(bool connected, const char *reason, void *context);
};

struct docker_sidecars;

/* Patterns of fnmatch(3) without flags, so '*' also matches '/'. */
struct docker_patterns {
	const char *const *matches; /* names and images of sidecars */
	size_t match_count;
	const char *const *guards; /* names of guarded containers */
	size_t guard_count;
	bool names; /* the names of other running containers are wanted, too */
};

/*
 * Starts the watcher; docker_networks_new() explains the thread and the errors. *@engine is
 * copied. A container with the label is a sidecar. So is one whose name or image matches one of
 * @patterns' matches. The caller keeps the patterns until docker_sidecars_free(). Either counts
 * only if the container was started with CAP_NET_ADMIN (HostConfig.CapAdd or Privileged), as an
 * application's image can have the label too. It does not matter whether the label is the image's
 * or the container's: an inspection does not tell them apart.
 */
int docker_sidecars_new(const struct docker_engine *engine, const struct docker_patterns *patterns,
			const struct docker_sidecars_handler *handler, void *context,
			struct docker_sidecars **ret_sidecars);

/* Works like docker_networks_free(). */
void docker_sidecars_free(struct docker_sidecars *sidecars);

#endif
