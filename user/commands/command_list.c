// SPDX-License-Identifier: Apache-2.0
#include "commands/command_list.h"

#include <string.h>

#include "lib/log.h"
#include "lib/nearest.h"
#include "lib/util.h"

const struct command command_list[] = {
	{"sidecar", command_sidecar,
	 "intercept outbound connections, of this namespace or of a Docker bridge",
	 &sidecar_options_command},
	{"agent", command_agent, "steer for sidecars that may not load BPF programs",
	 &agent_options_command},
	{"agent-watcher", command_agent_watcher, NULL, NULL},
	{"agent-exporter", command_agent_exporter, NULL, NULL},
	{"gateway", command_gateway, "run the reference HTTP CONNECT gateway",
	 &gateway_options_command},
	{"demo", command_demo, "show the main job in private network namespaces, without Docker",
	 &demo_options_command},
	{"ready", command_ready, "tell whether interception is live in this network namespace",
	 &ready_options_command},
	{"status", command_status, "show what running instances intercept, bypass and count",
	 &status_options_command},
	{"observe", command_observe,
	 "show connections and denials as they come, each with its reason",
	 &observe_options_command},
	{"explain", command_explain, "tell what would happen to a connection, and why",
	 &explain_options_command},
	{"bypass", command_bypass, "show and change what a running sidecar leaves alone",
	 &bypass_options_command},
	{"top", command_top, "show connections, bytes and verdicts on a terminal, as they come",
	 &top_options_command},
	{"doctor", command_doctor, "find out what a sidecar would lack here",
	 &doctor_options_command},
	{"capture", command_capture, "capture connections whose TLS a sidecar terminates",
	 &capture_options_command},
	{"report", command_report, "pack what a bug report needs into one archive",
	 &report_options_command},
	{"version", command_version, "print the version, its commit, libraries and features",
	 &version_options_command},
	{"help", command_help, "explain a command and its options", &help_options_command},
	{0},
};

const struct command *command_find(const char *name)
{
	struct nearest nearest = {.name = name};
	const struct command *command;

	for (command = command_list; command->name; command++) {
		if (strcmp(name, command->name) == 0)
			return command;
		if (command->summary)
			nearest_consider(&nearest, command->name);
	}
	if (nearest.best)
		log_error("unknown command \"%.200s\"; did you mean \"%s\"? (\"sidestep --help\" "
			  "lists the commands)",
			  name, nearest.best);
	else
		log_error("unknown command \"%.200s\"; \"sidestep --help\" lists the commands",
			  name);
	return NULL;
}
