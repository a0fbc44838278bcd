/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `sidestep agent`. */
#ifndef SIDESTEP_AGENT_OPTIONS_H
#define SIDESTEP_AGENT_OPTIONS_H

#include <stdbool.h>

#include "lib/options.h"
#include "metrics/otlp_options.h"

struct agent_options {
	const char *docker_socket;
	struct option_strings matches;
	struct option_strings guards;
	struct option_strings pids;
	const char *metrics_listen;
	struct option_prefixes metrics_allow;
	unsigned int metrics_hosts;
	struct otlp_options otlp;
	const char *pin;
	const char *event_socket;
	unsigned int reap_s; /* 0: never */
	unsigned int attach; /* enum programs_way */
	bool clean;
	unsigned int log_level;	 /* enum log_level */
	unsigned int log_format; /* enum log_format */
};

#endif
