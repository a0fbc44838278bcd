// SPDX-License-Identifier: Apache-2.0
/* The entry point: chooses the subcommand. */
#include <string.h>

#include "commands.h"
#include "lib/log.h"
#include "lib/util.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary; /* NULL: not for people */
} commands[] = {
	{"sidecar", command_sidecar,
	 "intercept outbound connections, of this namespace or of a Docker bridge"},
	{"agent", command_agent, "steer for sidecars that may not load BPF programs"},
	{"agent-watcher", command_agent_watcher, NULL},
	{"gateway", command_gateway, "run the reference HTTP CONNECT gateway"},
	{"demo", command_demo, "show the main job in private network namespaces, without Docker"},
	{"ready", command_ready, "tell whether interception is live in this network namespace"},
	{"status", command_status, "show what running instances intercept, bypass and count"},
	{"doctor", command_doctor, "find out what a sidecar would lack here"},
};

static void print_usage(FILE *stream)
{
	size_t i;

	(void)fprintf(stream,
		      "Usage: sidestep COMMAND [OPTIONS]\n\n"
		      "Intercepts the outbound connections of Docker containers with eBPF, and\n"
		      "hands them to a gateway. Steps aside for the containers' own bridge "
		      "traffic.\n\nCommands:\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].summary)
			(void)fprintf(stream, "  %-10s %s\n", commands[i].name,
				      commands[i].summary);
	(void)fprintf(stream,
		      "\n\"sidestep COMMAND --help\" explains each. Without a command, the\n"
		      "options are the sidecar's. With SERVER=1 in the environment and no\n"
		      "arguments, sidestep is the gateway.\n");
}

int main(int argc, char **argv)
{
	const char *server = getenv("SERVER");
	size_t i;

	if (argc < 2 && server && strcmp(server, "1") == 0)
		return command_gateway(argc, argv);
	if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
	    strcmp(argv[1], "-h") == 0) {
		print_usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? STATUS_USAGE : STATUS_OK;
	}
	if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
		(void)printf("sidestep %s\n", SIDESTEP_VERSION);
		return STATUS_OK;
	}
	/* It can replace an image whose ENTRYPOINT takes only options. */
	if (argv[1][0] == '-')
		return command_sidecar(argc, argv);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	log_error("unknown command \"%s\"; \"sidestep --help\" lists the commands", argv[1]);
	return STATUS_USAGE;
}
