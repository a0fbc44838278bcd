/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closes a network namespace. It is a guarded container's (--guard), or its sidecar ended in the
 * middle of its start. That process was served. It has neither attached the programs nor said that
 * none are wanted.
 */
#ifndef SIDESTEP_AGENT_GUARD_H
#define SIDESTEP_AGENT_GUARD_H

#include "agent/agent_namespace.h"

/*
 * Guards all devices of the namespace, which must have its descriptor. The guard judges by
 * the maps as they are. If the sidecar has not filled them, nothing gets out at all. The next
 * session fills them. Returns 0 or the first failure as a negative errno, logged.
 */
int agent_guard_close(struct agent_namespace *namespace);

#endif
