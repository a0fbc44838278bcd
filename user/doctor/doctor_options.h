/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `sidestep doctor`, which `sidestep report` has as well. */
#ifndef SIDESTEP_DOCTOR_OPTIONS_H
#define SIDESTEP_DOCTOR_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/option_entries.h"
#include "lib/options.h"
#include "sidecar/sidecar_options.h"

struct doctor_options {
	struct sidecar_options sidecar; /* the gateway, bridges, docker_socket, ca_directory, pin */
	const char *container;		/* NULL: none */
	unsigned int pid;		/* 0: none */
	bool agent;
	bool fix;
	bool json;
};

/* The fields are those of the sidecar's options where both have them. */
#define DOCTOR_OPTION_ENTRIES                                                                       \
	SIDECAR_GATEWAY_ENTRIES,                                                                    \
		{.section = "Place",                                                                \
		 .name = "container",                                                               \
		 .argument = "NAME",                                                                \
		 .type = OPTION_STRING,                                                             \
		 .offset = offsetof(struct doctor_options, container),                              \
		 .help = "On the host: check in the network namespace of this container of "        \
			 "Docker's, and on the way there."},                                        \
		{.name = "pid",                                                                     \
		 .argument = "PID",                                                                 \
		 .type = OPTION_UNSIGNED,                                                           \
		 .offset = offsetof(struct doctor_options, pid),                                    \
		 .minimum = 1,                                                                      \
		 .maximum = 4194304,                                                                \
		 .default_note = "none",                                                            \
		 .example = "4711",                                                                 \
		 .help = "Likewise for a process that is in that network namespace."},              \
		{.name = "bridge",                                                                  \
		 .argument = "NAME",                                                                \
		 .type = OPTION_STRINGS,                                                            \
		 .offset = offsetof(struct sidecar_options, bridges),                               \
		 .help = "Check for bridge mode on this bridge."},                                  \
		{.name = "agent",                                                                   \
		 .type = OPTION_BOOL,                                                               \
		 .offset = offsetof(struct doctor_options, agent),                                  \
		 .help = "Check for the host's agent, and each network namespace that it serves."}, \
		{OPTION_ENTRY_PIN(struct sidecar_options, pin),                                     \
		 .default_text = "/sys/fs/bpf/sidestep/agent", .help = "The agent's --pin."},       \
		{OPTION_ENTRY_DOCKER_SOCKET(struct sidecar_options, docker_socket),                 \
		 .default_note = "/var/run/docker.sock", .help = "Docker's API socket."},           \
	{                                                                                           \
		.name = "ca-dir", .argument = "DIR", .type = OPTION_STRING,                         \
		.offset = offsetof(struct sidecar_options, ca_directory),                           \
		.help = "The sidecar's --ca-dir: check its ca.crt, and whether the application "    \
			"trusts it."                                                                \
	}

#endif
