// SPDX-License-Identifier: Apache-2.0
/* The completion for bash 4 and newer. It needs no package of functions. */
#include "generate.h"

static void print_options(FILE *stream, const struct options_command *options)
{
	const struct option_entry *common;
	size_t i;

	for (i = 0; i < options->entry_count; i++)
		(void)fprintf(stream, "--%s ", options->entries[i].name);
	for (i = 0; (common = common_option(i)); i++)
		(void)fprintf(stream, "%s--%s", i > 0 ? " " : "", common->name);
}

/* Prints the case for the value of an option, as "_sidestep_value" takes it. */
static void print_value(FILE *stream, const char *command, const struct option_entry *entry)
{
	size_t i;

	if (value_kind(entry) == VALUE_NONE)
		return;
	(void)fprintf(stream, "\t'%s --%s') ", command, entry->name);
	switch (value_kind(entry)) {
	case VALUE_CHOICE:
		(void)fputs("words='", stream);
		for (i = 0; entry->choices[i]; i++)
			(void)fprintf(stream, "%s%s", i > 0 ? " " : "", entry->choices[i]);
		(void)fputs("' ;;\n", stream);
		break;
	case VALUE_PATH:
		(void)fputs("action=file ;;\n", stream);
		break;
	case VALUE_FOLDER:
		(void)fputs("action=directory ;;\n", stream);
		break;
	default:
		(void)fputs("action=none ;;\n", stream);
	}
}

/* Prints the case for the command's first argument, where it is one of some words. */
static void print_argument(FILE *stream, const struct command *command)
{
	char words[WORDS_MAX];

	first_argument_words(command->options, words);
	if (*words)
		(void)fprintf(stream, "\t'%s %s') [[ $current == -* ]] || words='%s' ;;\n",
			      command->name, command->name, words);
}

static void print_commands(FILE *stream)
{
	const struct command *command;
	const char *divider = "";

	for (command = command_list; command->name; command++) {
		if (!command->options)
			continue;
		(void)fprintf(stream, "%s%s", divider, command->name);
		divider = " ";
	}
}

void bash_print(FILE *stream)
{
	const struct command *command;
	size_t i;

	(void)fputs(
		"# bash completion of sidestep, generated from the option tables by deploy/generate.\n"
		"# shellcheck shell=bash\n\n"
		"_sidestep() {\n"
		"\tlocal command=${COMP_WORDS[1]} current=${COMP_WORDS[COMP_CWORD]}\n"
		"\tlocal previous=${COMP_WORDS[COMP_CWORD - 1]} words='' action=''\n"
		"\tCOMPREPLY=()\n"
		"\t# bash makes --name=value three words.\n"
		"\tif [[ $current == '=' ]]; then\n"
		"\t\tcurrent=''\n"
		"\telif [[ $previous == '=' ]]; then\n"
		"\t\tprevious=${COMP_WORDS[COMP_CWORD - 2]}\n"
		"\tfi\n"
		"\t[[ $command != -* ]] || command=sidecar\n"
		"\t[[ $previous != -[!-]* ]] || previous=-$previous\n"
		"\tcase \"$command $previous\" in\n",
		stream);
	for (command = command_list; command->name; command++)
		for (i = 0; command->options && i < command->options->entry_count; i++)
			print_value(stream, command->name, &command->options->entries[i]);
	for (command = command_list; command->name; command++)
		if (command->options)
			print_argument(stream, command);
	(void)fputs("\t'help '*) words='", stream);
	print_commands(stream);
	(void)fputs(
		"' ;;\n\tesac\n\tif [[ -n $action ]]; then\n"
		"\t\t[[ $action == none ]] || mapfile -t COMPREPLY < <(compgen -A \"$action\" -- \"$current\")\n"
		"\t\treturn\n"
		"\tfi\n"
		"\tif [[ -z $words && $COMP_CWORD == 1 && $current != -* ]]; then\n"
		"\t\twords='",
		stream);
	print_commands(stream);
	(void)fputs("'\n\tfi\n\t[[ -n $words ]] || case $command in\n", stream);
	for (command = command_list; command->name; command++) {
		if (!command->options)
			continue;
		(void)fprintf(stream, "\t%s) words='", command->name);
		print_options(stream, command->options);
		(void)fputs("' ;;\n", stream);
	}
	(void)fputs(
		"\tesac\n\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n}\n\n"
		"complete -o filenames -F _sidestep sidestep\n",
		stream);
}
