/* SPDX-License-Identifier: Apache-2.0 */
/* Finds and removes the sidecars that a killed workerd left behind. */
#ifndef SIDESTEP_DOCKER_ORPHANS_H
#define SIDESTEP_DOCKER_ORPHANS_H

#include <stdbool.h>
#include <stdint.h>

#include "docker/docker_sidecars.h"

/* Is it an orphan: named "X-proxy", and unused for @age_ms or longer at @now_ms (CLOCK_MONOTONIC)?
 */
bool docker_orphans_match(const struct docker_sidecar *sidecar, int64_t now_ms, int64_t age_ms);

/*
 * Removes the container @id by force, unless the engine says that another running one uses its
 * network namespace. Waits for the engine (normally milliseconds, at most 20 s). Any thread may
 * call it. Returns 0, also when there is no such container; -EBUSY when it is in use; -EINVAL for a
 * bad @id; or another negative errno. All but -EBUSY are logged.
 */
int docker_orphans_remove(const struct docker_engine *engine, const char *id);

#endif
