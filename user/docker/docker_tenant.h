/* SPDX-License-Identifier: Apache-2.0 */
/* Describes which network namespace a container uses. */
#ifndef SIDESTEP_DOCKER_TENANT_H
#define SIDESTEP_DOCKER_TENANT_H

#include <jansson.h>
#include <stdbool.h>

/* A container that runs, or that was created and may run soon. */
struct docker_tenant {
	const char *id;	  /* 64 hexadecimal digits */
	const char *name; /* without the leading '/'; the id if it has none */
	const json_t *labels;
	const char *owner; /* the id of the container whose namespace it shares; NULL: none */
	bool has_engine;   /* the watcher's path of the engine's socket is mounted in it */
};

#endif
