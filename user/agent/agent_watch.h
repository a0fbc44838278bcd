/* SPDX-License-Identifier: Apache-2.0 */
/* Brings the list of Docker's sidecars from the watcher's thread to the loop's. */
#ifndef SIDESTEP_AGENT_WATCH_H
#define SIDESTEP_AGENT_WATCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/options.h"
#include "stream/loop.h"

/* A sidecar that runs: a copy of struct docker_sidecar. */
struct agent_seen {
	char id[65];
	char name[64];
	pid_t pid;
	int64_t unused_since_ms;
};

struct agent_watch;

/*
 * Starts docker_sidecars on @docker_socket with the patterns @matches, and logs its connection.
 * Calls
 * @seen with each new list in the loop's thread. The list belongs to the watch and lasts until the
 * next call. Uses loop_on_wake(). Returns 0 or a negative errno, logged.
 */
int agent_watch_new(struct loop *loop, const char *docker_socket,
		    const struct option_strings *matches,
		    void (*seen)(const struct agent_seen *seen, size_t count, void *context),
		    void *context, struct agent_watch **ret_watch);

/* Stops the watcher's thread. The loop must not run any more. NULL is allowed. */
void agent_watch_free(struct agent_watch *watch);

#endif
