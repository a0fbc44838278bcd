// SPDX-License-Identifier: Apache-2.0
/* The completion for zsh. */
#include <string.h>

#include "generate.h"

/* Prints text in single quotes of the shell, for a description of _arguments or _describe. */
static void print_description(FILE *stream, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			(void)fputs("'\\''", stream);
		else if (strchr("[]:\\", *text))
			(void)fprintf(stream, "\\%c", *text);
		else
			(void)fputc(*text, stream);
	}
}

static void print_value(FILE *stream, const struct option_entry *entry)
{
	size_t i;

	if (value_kind(entry) == VALUE_NONE)
		return;
	(void)fputc(':', stream);
	print_description(stream, entry->argument);
	(void)fputc(':', stream);
	switch (value_kind(entry)) {
	case VALUE_CHOICE:
		(void)fputc('(', stream);
		for (i = 0; entry->choices[i]; i++)
			(void)fprintf(stream, "%s%s", i > 0 ? " " : "", entry->choices[i]);
		(void)fputc(')', stream);
		break;
	case VALUE_PATH:
		(void)fputs("_files", stream);
		break;
	case VALUE_FOLDER:
		(void)fputs("_files -/", stream);
		break;
	default:
		break;
	}
}

static void print_option(FILE *stream, const struct option_entry *entry)
{
	bool list = entry->type == OPTION_STRINGS || entry->type == OPTION_PREFIXES;
	char text[1024];

	first_sentence(entry, text, sizeof(text));
	(void)fprintf(stream, " \\\n\t\t\t'%s--%s%s[", list ? "*" : "", entry->name,
		      value_kind(entry) == VALUE_NONE ? "" : "=");
	print_description(stream, text);
	(void)fputc(']', stream);
	print_value(stream, entry);
	(void)fputc('\'', stream);
}

static void print_command(FILE *stream, const struct command *command)
{
	const struct option_entry *common;
	char words[WORDS_MAX];
	size_t i;

	(void)fprintf(stream, "\t%s)\n\t\t_arguments", command->name);
	for (i = 0; i < command->options->entry_count; i++)
		print_option(stream, &command->options->entries[i]);
	for (i = 0; (common = common_option(i)); i++)
		print_option(stream, common);
	first_argument_words(command->options, words);
	if (command->options == &help_options_command)
		(void)fputs(" \\\n\t\t\t'1:command:_sidestep_commands'", stream);
	else if (*words)
		(void)fprintf(stream, " \\\n\t\t\t'1:argument:(%s)' '*:argument:()'", words);
	else if (command->options->maximum_arguments > 0)
		(void)fputs(" \\\n\t\t\t'*:argument:_files'", stream);
	(void)fputs(" ;;\n", stream);
}

void zsh_print(FILE *stream)
{
	const struct command *command;

	(void)fputs(
		"#compdef sidestep\n"
		"# zsh completion of sidestep, generated from the option tables by deploy/generate.\n\n"
		"_sidestep_commands() {\n\tlocal -a commands=(\n",
		stream);
	for (command = command_list; command->name; command++) {
		if (!command->options)
			continue;
		(void)fprintf(stream, "\t\t'%s:", command->name);
		print_description(stream, command->summary);
		(void)fputs("'\n", stream);
	}
	(void)fputs("\t)\n\t_describe command commands\n}\n\n"
		    "_sidestep() {\n"
		    "\tlocal command=$words[2]\n"
		    "\tif ((CURRENT == 2)) && [[ $command != -* ]]; then\n"
		    "\t\t_sidestep_commands\n"
		    "\t\treturn\n"
		    "\tfi\n"
		    "\tif [[ $command == -* ]]; then\n"
		    "\t\tcommand=sidecar\n"
		    "\telse\n"
		    "\t\tshift words\n"
		    "\t\t((CURRENT--))\n"
		    "\tfi\n"
		    "\tcase $command in\n",
		    stream);
	for (command = command_list; command->name; command++)
		if (command->options)
			print_command(stream, command);
	(void)fputs("\tesac\n}\n\n_sidestep \"$@\"\n", stream);
}
