// SPDX-License-Identifier: Apache-2.0
/* The entry point: chooses the subcommand. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "lib/log.h"
#include "lib/nearest.h"
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
	(void)fprintf(stream, "\n\"sidestep help COMMAND\" explains each. Without a command, the\n"
			      "options are the sidecar's. With SERVER=1 in the environment and no\n"
			      "arguments, sidestep is the gateway.\n");
}

static bool is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

static int run_command(int argc, char **argv)
{
	struct nearest nearest = {.name = argv[0]};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[0], commands[i].name) == 0)
			return commands[i].run(argc, argv);
		if (commands[i].summary)
			nearest_consider(&nearest, commands[i].name);
	}
	if (nearest.best)
		log_error("unknown command \"%.200s\"; did you mean \"%s\"? (\"sidestep --help\" "
			  "lists the commands)",
			  argv[0], nearest.best);
	else
		log_error("unknown command \"%.200s\"; \"sidestep --help\" lists the commands",
			  argv[0]);
	return STATUS_USAGE;
}

/* The reference gateway of a container that has no other setting. It dials nothing. */
static int run_server(void)
{
	static const char *const arguments[] = {"gateway",  "--listen", "0.0.0.0:8080",
						"--server", "--log",	NULL};

	/* main()'s arguments are not const, but no command writes to them. */
	return command_gateway(ARRAY_SIZE(arguments) - 1, (char **)arguments);
}

static int help(const char *name)
{
	const char *const arguments[] = {name, "--help", NULL};

	return run_command(ARRAY_SIZE(arguments) - 1, (char **)arguments);
}

int main(int argc, char **argv)
{
	static const char *const helps[] = {"help", "--help", "-help", "-h", NULL};
	static const char *const versions[] = {"version", "--version", "-version",
					       "-V",	  "-v",	       NULL};
	const char *server = getenv("SERVER");

	if (argc < 2 && server && strcmp(server, "1") == 0)
		return run_server();
	if (argc > 2 && strcmp(argv[1], "help") == 0)
		return help(argv[2]);
	if (argc < 2 || is_one_of(argv[1], helps)) {
		print_usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? STATUS_USAGE : STATUS_OK;
	}
	if (is_one_of(argv[1], versions)) {
		(void)printf("sidestep %s\n", SIDESTEP_VERSION);
		return STATUS_OK;
	}
	/* It can replace an image whose ENTRYPOINT takes only options. */
	if (argv[1][0] == '-')
		return command_sidecar(argc, argv);
	return run_command(argc - 1, argv + 1);
}
