/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's metrics (--metrics-listen): what its programs count for each container. */
#ifndef SIDESTEP_AGENT_METRICS_H
#define SIDESTEP_AGENT_METRICS_H

#include "lib/options.h"
#include "programs/programs.h"

struct agent_metrics;

/* Serves them at @listen, for @allow as well, which both stay the caller's; NULL: *@ret_metrics is
 * NULL. The calling thread is in the host's network namespace. @programs outlives this. Returns 0
 * or negative errno, logged; -EINVAL: the address is wrong. */
int agent_metrics_new(const char *listen, const struct option_prefixes *allow,
		      const struct programs *programs, struct agent_metrics **ret_metrics);

/* NULL is allowed. */
void agent_metrics_free(struct agent_metrics *metrics);

#endif
