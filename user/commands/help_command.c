// SPDX-License-Identifier: Apache-2.0
/* `sidestep help` and `sidestep version`. */
#include <stdio.h>

#include "commands.h"
#include "commands/command_list.h"
#include "lib/options.h"
#include "lib/util.h"
#include "lib/version.h"

static const struct option_example examples[] = {
	{"Explain the sidecar's options:", "sidestep help sidecar"},
};

static const struct option_status statuses[] = {
	{STATUS_OK, "printed"},
	{STATUS_USAGE, "there is no such command"},
};

const struct options_command help_options_command = {
	.name = "sidestep help",
	.summary = "Explains a command and its options, or lists the commands.",
	.arguments = "[COMMAND]",
	.description = "\"sidestep help COMMAND\" prints the same as \"sidestep COMMAND --help\".",
	.examples = examples,
	.example_count = ARRAY_SIZE(examples),
	.statuses = statuses,
	.status_count = ARRAY_SIZE(statuses),
	.maximum_arguments = 1,
};

const struct options_command version_options_command = {
	.name = "sidestep version",
	.summary = "Prints the version, its commit, libraries and features.",
	.description = "The first line has the version and, if it was built from git, the commit. "
		       "The libraries have the versions with which it was built. Each command "
		       "prints the same with --version or -V.",
};

void command_usage(FILE *stream)
{
	const struct command *command;

	(void)fprintf(stream,
		      "Usage: sidestep COMMAND [OPTIONS]\n\n"
		      "Intercepts the outbound connections of Docker containers with eBPF, and\n"
		      "hands them to a gateway. Steps aside for the containers' own bridge "
		      "traffic.\n\nCommands:\n");
	for (command = command_list; command->name; command++)
		if (command->summary)
			(void)fprintf(stream, "  %-10s %s\n", command->name, command->summary);
	(void)fprintf(stream, "\n\"sidestep help COMMAND\" explains each. Without a command, the\n"
			      "options are the sidecar's. With SERVER=1 in the environment and no\n"
			      "arguments, sidestep is the gateway.\n");
}

int command_help(int argc, char **argv)
{
	const struct command *command;
	int first, error, unused;

	error = options_parse(&help_options_command, argc, argv, &unused, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	if (first == argc) {
		command_usage(stdout);
		return STATUS_OK;
	}
	command = command_find(argv[first]);
	if (!command)
		return STATUS_USAGE;
	if (command->options)
		options_print_help(command->options, stdout);
	return STATUS_OK;
}

int command_version(int argc, char **argv)
{
	int first, error, unused;

	error = options_parse(&version_options_command, argc, argv, &unused, &first);
	if (error != 0)
		return error < 0 ? STATUS_USAGE : STATUS_OK;
	version_print(stdout);
	return STATUS_OK;
}
