/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches which sidecars run on a Docker engine, and with which process.
 *
 * Works as docker.h does, with a shorter way for what is urgent: on an event of one container only
 * that container is inspected, which takes a few milliseconds from its start to the handler. The
 * event itself is never believed; it only says whom to look at. A second later the whole list is
 * read as well. API reference: https://docs.docker.com/reference/api/engine/ (GET /events,
 * /containers/json, /containers/{id}/json, DELETE /containers/{id}).
 */
#ifndef SIDESTEP_DOCKER_SIDECARS_H
#define SIDESTEP_DOCKER_SIDECARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* The label, of the container or of its image, that makes a sidecar. */
#define DOCKER_SIDECAR_LABEL "dev.sidestep.role"
#define DOCKER_SIDECAR_ROLE  "sidecar"

/* Limits: what lies beyond them is treated like any other malformed answer. */
#define DOCKER_SIDECARS_MAX 4096
/* Containers that are inspected at the same time. */
#define DOCKER_INSPECTIONS_MAX 8

/* A running one. The same id with another pid is another run of it. */
struct docker_sidecar {
	char *id; /* 64 hexadecimal digits */
	char *name;
	char *image; /* as it was named when the container was created */
	pid_t pid;   /* of its first process, in the engine's pid namespace */
	time_t started;
	/* Since when no running container is known to share its network namespace, CLOCK_MONOTONIC
	 * in milliseconds; 0: one does. Counts from when the watcher first saw it so, not from the
	 * container's start: a watcher that is new does not know. Up to some 5 s late in a storm of
	 * events, 1 s else. */
	int64_t unused_since_ms;
};

struct docker_containers_handler {
	/* All sidecars that run, ordered by id, each time that something may have changed; equal
	 * ones in a row are possible. The array belongs to the watcher and ends with the call. */
	void (*containers)(const struct docker_sidecar *sidecars, size_t count, void *context);
	/* As in struct docker_watch_handler; containers() follows at once. May be NULL. */
	void (*connected)(bool connected, const char *reason, void *context);
};

struct docker_containers;

/*
 * Starts watching; see docker_watch_new() for the thread, @socket_path and the errors. Sidecars are
 * the containers with the label, and those whose name or image matches one of @matches (fnmatch(3)
 * without flags: '*' also stands for '/'). The patterns are copied.
 */
int docker_containers_new(const char *socket_path, const char *const *matches, size_t match_count,
			  const struct docker_containers_handler *handler, void *context,
			  struct docker_containers **ret_containers);

/* As docker_watch_free(). */
void docker_containers_free(struct docker_containers *containers);

/* Whether it is the "X-proxy" of a workerd that is gone: so named, and unused for @age_ms or longer
 * at @now_ms (CLOCK_MONOTONIC). */
bool docker_sidecar_orphaned(const struct docker_sidecar *sidecar, int64_t now_ms, int64_t age_ms);

/*
 * Removes the container by force, after it asked the engine once more whether another running one
 * uses its network namespace. Waits for the engine (normally milliseconds, at most 20 s); from any
 * thread. Returns 0, also when there is no such container; -EBUSY when it is in use; -EINVAL when
 * @id is none or for the socket's path; or another negative errno. All but -EBUSY are logged.
 */
int docker_container_remove(const char *socket_path, const char *id);

#endif
