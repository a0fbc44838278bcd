// SPDX-License-Identifier: Apache-2.0
/* The completion for fish. */
#include <string.h>

#include "generate.h"

/* Prints text in single quotes of the shell. */
static void print_quoted(FILE *stream, const char *text)
{
	(void)fputc('\'', stream);
	for (; *text; text++)
		(void)fprintf(stream, strchr("'\\", *text) ? "\\%c" : "%c", *text);
	(void)fputc('\'', stream);
}

static void print_value(FILE *stream, const struct option_entry *entry)
{
	size_t i;

	switch (value_kind(entry)) {
	case VALUE_NONE:
		break;
	case VALUE_CHOICE:
		(void)fputs(" -x -a '", stream);
		for (i = 0; entry->choices[i]; i++)
			(void)fprintf(stream, "%s%s", i > 0 ? " " : "", entry->choices[i]);
		(void)fputc('\'', stream);
		break;
	case VALUE_PATH:
		(void)fputs(" -r -F", stream);
		break;
	case VALUE_FOLDER:
		(void)fputs(" -x -a '(__fish_complete_directories)'", stream);
		break;
	case VALUE_OTHER:
		(void)fputs(" -x", stream);
		break;
	}
}

static void print_option(FILE *stream, const char *condition, const struct option_entry *entry)
{
	char text[1024];

	first_sentence(entry, text, sizeof(text));
	(void)fprintf(stream, "complete -c sidestep -n '%s' -l %s", condition, entry->name);
	print_value(stream, entry);
	(void)fputs(" -d ", stream);
	print_quoted(stream, text);
	(void)fputc('\n', stream);
}

static void print_command(FILE *stream, const struct command *command)
{
	const struct option_entry *common;
	char condition[128], words[WORDS_MAX];
	size_t i;

	(void)snprintf(condition, sizeof(condition), "__sidestep_command_is %s", command->name);
	for (i = 0; i < command->options->entry_count; i++)
		print_option(stream, condition, &command->options->entries[i]);
	for (i = 0; (common = common_option(i)); i++)
		print_option(stream, condition, common);
	first_argument_words(command->options, words);
	if (*words)
		(void)fprintf(stream, "complete -c sidestep -n '%s' -a '%s'\n", condition, words);
}

void fish_print(FILE *stream)
{
	const struct command *command;

	(void)fputs(
		"# fish completion of sidestep, generated from the option tables by deploy/generate.\n\n"
		"# The words before the cursor without the program's name. Without a command they are the\n"
		"# sidecar's options.\n"
		"function __sidestep_command_is\n"
		"\tset -l words (commandline -opc) (commandline -ct)\n"
		"\tset -l command $words[2]\n"
		"\tstring match -q -- '-*' $command; and set command sidecar\n"
		"\ttest (count $words) -gt 1; and test \"$command\" = $argv[1]\n"
		"end\n\n"
		"function __sidestep_needs_command\n"
		"\tset -l words (commandline -opc)\n"
		"\ttest (count $words) -eq 1\n"
		"\tor begin\n"
		"\t\ttest (count $words) -eq 2; and test $words[2] = help\n"
		"\tend\n"
		"end\n\n"
		"complete -c sidestep -f\n",
		stream);
	for (command = command_list; command->name; command++) {
		if (!command->options)
			continue;
		(void)fprintf(stream, "complete -c sidestep -n __sidestep_needs_command -a %s -d ",
			      command->name);
		print_quoted(stream, command->summary);
		(void)fputc('\n', stream);
	}
	for (command = command_list; command->name; command++)
		if (command->options)
			print_command(stream, command);
}
