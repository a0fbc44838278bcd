// SPDX-License-Identifier: Apache-2.0
/* The entry point: chooses the subcommand. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "commands/command_list.h"
#include "lib/util.h"

static bool is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

/* The reference gateway of a container that has no other setting. It dials nothing. */
static int run_server(void)
{
	static const char *const arguments[] = {"gateway",  "--listen", "0.0.0.0:8080",
						"--server", "--log",	NULL};

	/* main()'s arguments are not const, but no command writes to them. */
	return command_gateway(ARRAY_SIZE(arguments) - 1, (char **)arguments);
}

int main(int argc, char **argv)
{
	static const char *const helps[] = {"--help", "-help", "-h", NULL};
	static const char *const versions[] = {"--version", "-version", "-V", "-v", NULL};
	const char *server = getenv("SERVER");
	const struct command *command;

	if (argc < 2 && server && strcmp(server, "1") == 0)
		return run_server();
	if (argc < 2) {
		command_usage(stderr);
		return STATUS_USAGE;
	}
	if (is_one_of(argv[1], helps))
		return command_help(argc - 1, argv + 1);
	if (is_one_of(argv[1], versions))
		return command_version(argc - 1, argv + 1);
	/* It can replace an image whose ENTRYPOINT takes only options. */
	if (argv[1][0] == '-')
		return command_sidecar(argc, argv);
	command = command_find(argv[1]);
	return command ? command->run(argc - 1, argv + 1) : STATUS_USAGE;
}
