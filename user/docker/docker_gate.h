/* SPDX-License-Identifier: Apache-2.0 */
/* Tells which requests a process without rights may have sent to a Docker engine. */
#ifndef SIDESTEP_DOCKER_GATE_H
#define SIDESTEP_DOCKER_GATE_H

#include <stdbool.h>

#include "docker/docker_engine.h"

/*
 * Is it one of the requests that docker_sidecars and docker_orphans make? These are the events of
 * containers, their list, the inspection of one, and the removal of @removable. *@ask may be
 * hostile. @removable is a container's id, "" for none.
 */
bool docker_gate_passes(const struct docker_ask *ask, const char *removable);

#endif
