/* SPDX-License-Identifier: Apache-2.0 */
/* Finds a container of a Docker engine by its name. */
#ifndef SIDESTEP_DOCKER_CONTAINER_H
#define SIDESTEP_DOCKER_CONTAINER_H

#include <sys/types.h>

#include "docker/docker_engine.h"

/* Returns the number of the container's first process, on the engine's host. @name is its name or
 * id. Otherwise returns a negative errno, logged; -ENOENT: there is none, or it does not run. */
pid_t docker_container_process(const struct docker_engine *engine, const char *name);

#endif
