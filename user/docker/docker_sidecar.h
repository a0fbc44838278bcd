/* SPDX-License-Identifier: Apache-2.0 */
/* Describes a container to the users of docker_sidecars. */
#ifndef SIDESTEP_DOCKER_SIDECAR_H
#define SIDESTEP_DOCKER_SIDECAR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* An answer beyond this limit counts as malformed. */
#define DOCKER_SIDECARS_MAX 4096

/* A container. The same id with another pid is another run of it. */
struct docker_sidecar {
	char *id; /* 64 hexadecimal digits */
	char *name;
	char *image;  /* its name when the container was created */
	char *labels; /* packed (docker_labels.h); NULL: not known yet */
	pid_t pid;    /* of its first process, in the engine's pid namespace; 0: it does not run */
	time_t started;
	bool sidecar; /* it is one */
	bool guarded; /* its name matches one of the guards */
	/* Since then no running container is known to share its network namespace
	 * (CLOCK_MONOTONIC, ms). 0: one shares it. It counts from when the watcher first saw
	 * this, not from the container's start. It is up to 1 s late, in a storm of events 5 s. */
	int64_t unused_since_ms;
};

#endif
