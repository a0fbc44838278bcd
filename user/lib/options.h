/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command-line options. One table for each subcommand gives parsing, defaults and --help.
 *
 *	static const struct option_entry entries[] = {
 *		{.section = "Interception", .name = "http-egress-port", .argument = "PORT",
 *		 .type = OPTION_UNSIGNED, .offset = offsetof(struct settings, egress_port),
 *		 .minimum = 1, .maximum = 65535, .default_text = "39000",
 *		 .help = "Port of the gateway that intercepted connections are sent to."},
 *	};
 *
 * The spellings are those of Go's package flag (https://pkg.go.dev/flag), because the incumbent's
 * callers use them: -name, --name, -name=value, --name value. A boolean takes its value only behind
 * an equals sign. "--" ends the options. A value may start with "-", as in Go. Unlike in Go numbers
 * are decimal only, and a command's arguments may stand between options.
 */
#ifndef SIDESTEP_OPTIONS_H
#define SIDESTEP_OPTIONS_H

#include <stddef.h>
#include <stdio.h>

#include "lib/options_entry.h"

struct option_example {
	const char *text;    /* the example's purpose */
	const char *command; /* as typed */
};

struct option_status {
	int status;
	const char *meaning;
};

struct options_command {
	const char *name;    /* as typed: "sidestep sidecar" */
	const char *summary; /* one line */
	const char
		*arguments; /* behind the options in the synopsis: "ADD|REMOVE PREFIX"; or NULL */
	const char *description; /* paragraphs, divided by "\n"; wrapped; or NULL */
	const struct option_entry *entries;
	size_t entry_count;
	const struct option_example *examples;
	size_t example_count;
	const struct option_status *statuses;
	size_t status_count;
	unsigned int minimum_arguments; /* how many arguments must and may follow the options */
	unsigned int maximum_arguments;
};

/*
 * Parses @argv from index 1 on into @target. Every field that the table names is set, to its
 * default where @argv says nothing. Other fields are left alone. Of a scalar that is given twice,
 * the last value counts. @target keeps pointers into @argv, whose arguments are moved behind its
 * options.
 *
 * Returns 0 and the index of the first argument behind the options in *@ret_first_argument. The
 * caller then releases @target with options_release(). Returns 1 after printing the help or the
 * version, for exit status 0. Returns -EINVAL or -ENOMEM, logged, for exit status 2.
 */
int options_parse(const struct options_command *command, int argc, char **argv, void *target,
		  int *ret_first_argument);

/* Frees the lists in @target and leaves them empty. May be repeated. */
void options_release(const struct options_command *command, void *target);

/* Prints the whole help, 80 columns wide. */
void options_print_help(const struct options_command *command, FILE *stream);

/* Formats the table's facts about the value, such as "1 to 65535; default: 39000", or "". */
#define OPTION_FACTS_MAX 512
void options_format_facts(const struct option_entry *entry, char *text, size_t size);

/* Checks the table: unique names, a help for each entry, defaults that parse. Unit tests call it.
 * Returns 0 or -EINVAL, logged. */
int options_check(const struct options_command *command);

#endif
