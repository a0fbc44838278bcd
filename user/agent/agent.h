/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: the one privileged process of a host. It loads the BPF programs once and attaches them
 * to the network namespaces of sidecars that have no right to do so themselves.
 */
#ifndef SIDESTEP_AGENT_H
#define SIDESTEP_AGENT_H

#include "agent/agent_options.h"

/* Runs until SIGTERM or SIGINT, or detaches everything with @clean. Attachments survive the agent.
 * Returns 0 or a negative errno, logged; -EADDRINUSE: another agent uses the same @pin; -EINVAL: an
 * option is wrong. */
int agent_run(const struct agent_options *options);

#endif
