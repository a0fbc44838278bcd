/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: the one privileged process of a host. It loads the BPF programs once and attaches them
 * to the network namespaces of sidecars that have no right to do so themselves.
 */
#ifndef SIDESTEP_AGENT_H
#define SIDESTEP_AGENT_H

#include <stdbool.h>

#include "lib/options.h"

struct agent_options {
	const char *docker_socket;
	struct option_strings matches;
	struct option_strings guards;
	struct option_strings pids;
	const char *metrics_listen;
	struct option_prefixes metrics_allow;
	const char *pin;
	const char *event_socket;
	unsigned int reap_s; /* 0: never */
	unsigned int attach; /* enum programs_way */
	bool clean;
	unsigned int log_level;	 /* enum log_level */
	unsigned int log_format; /* enum log_format */
};

/* Runs until SIGTERM or SIGINT, or detaches everything with @clean. Attachments survive the agent.
 * Returns 0 or a negative errno, logged; -EADDRINUSE: another agent uses the same @pin; -EINVAL: an
 * option is wrong. */
int agent_run(const struct agent_options *options);

#endif
