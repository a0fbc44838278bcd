/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learns from Docker which containers run. A process without rights, the watcher, talks to Docker
 * and parses what it says. This starts it, starts it again when it ends, checks what it reports,
 * and logs for it.
 */
#ifndef SIDESTEP_AGENT_WATCH_H
#define SIDESTEP_AGENT_WATCH_H

#include <stddef.h>

#include "agent/agent_news.h"
#include "docker/docker_sidecars.h"
#include "stream/loop.h"

struct agent_watch;

/* Both are called in the loop's thread. */
struct agent_watch_handler {
	/* Gets each new list, which the watcher knew at @heard_us (CLOCK_MONOTONIC). The list
	 * belongs to the watch and lasts until the next call. */
	void (*seen)(const struct agent_seen *seen, size_t count, int64_t heard_us, void *context);
	/* The watcher has ended, or could not be started again. */
	void (*ended)(void *context);
};

/* Starts docker_sidecars in a watcher, on @docker_socket with @patterns, which stay the caller's.
 * Returns 0 or a negative errno, logged. */
int agent_watch_new(struct loop *loop, const char *docker_socket,
		    const struct docker_patterns *patterns,
		    const struct agent_watch_handler *handler, void *context,
		    struct agent_watch **ret_watch);

/* Has the watcher remove the orphan @id (docker_orphans_remove()), unless it is still busy with
 * another. */
void agent_watch_remove(struct agent_watch *watch, const char *id);

/* Ends the watcher. The loop must not run any more. NULL is allowed. */
void agent_watch_free(struct agent_watch *watch);

#endif
