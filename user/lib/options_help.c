// SPDX-License-Identifier: Apache-2.0
/* Prints --help from the table that is parsed. */
#include <errno.h>
#include <string.h>

#include "lib/log.h"
#include "lib/options.h"
#include "lib/options_value.h"

#define HELP_COLUMNS 80
/* The widest left side of an option whose text starts on the same line. */
#define HELP_LEFT_MAX 34

/* Prints @text in lines of at most HELP_COLUMNS, each indented by @indent. The cursor already
 * stands in column @column. "\n" starts a new line. */
static void print_wrapped(FILE *stream, const char *text, size_t indent, size_t column)
{
	bool empty = true; /* nothing printed in this line yet */

	while (*text) {
		size_t length = strcspn(text, " \n");

		if (!empty && column + 1 + length > HELP_COLUMNS) {
			(void)fputc('\n', stream);
			column = 0;
			empty = true;
		}
		if (length > 0) {
			size_t pad = empty ? (column < indent ? indent - column : 0) : 1;

			(void)fprintf(stream, "%*s%.*s", (int)pad, "", (int)length, text);
			column += pad + length;
			empty = false;
		}
		text += length;
		if (*text == '\n') {
			(void)fputc('\n', stream);
			column = 0;
			empty = true;
		}
		text += *text ? 1 : 0;
	}
	(void)fputc('\n', stream);
}

/* Formats "  --name ARGUMENT". Returns its width. */
static size_t format_left(const struct option_entry *entry, char *text, size_t size)
{
	int length = snprintf(text, size, "  --%s%s%s", entry->name, entry->argument ? " " : "",
			      entry->argument ? entry->argument : "");

	return length < 0 ? 0 : (size_t)length;
}

static size_t right_column(const struct options_command *command)
{
	char text[128];
	size_t column = format_left(&(const struct option_entry) {.name = "version"}, text,
				    sizeof(text));
	size_t i;

	for (i = 0; i < command->entry_count; i++) {
		size_t width = format_left(&command->entries[i], text, sizeof(text));

		if (width > column && width <= HELP_LEFT_MAX)
			column = width;
	}
	return column + 2;
}

void options_format_facts(const struct option_entry *entry, char *text, size_t size)
{
	const char *fallback = entry->default_note ? entry->default_note : entry->default_text;
	const char *divider = "";
	size_t used = 0;
	char part[256];

#define APPEND(...)                                                                                \
	do {                                                                                       \
		(void)snprintf(part, sizeof(part), __VA_ARGS__);                                   \
		(void)snprintf(text + used, size - used, "%s%s", divider, part);                   \
		used += strlen(text + used);                                                       \
		divider = "; ";                                                                    \
	} while (0)

	text[0] = '\0';
	if (entry->type == OPTION_UNSIGNED && entry->maximum)
		APPEND("%u to %u", entry->minimum, entry->maximum);
	if (entry->type == OPTION_CHOICE) {
		char expected[256];

		option_describe_expected(entry, expected, sizeof(expected));
		APPEND("%s", expected);
	}
	if (entry->type == OPTION_STRINGS || entry->type == OPTION_PREFIXES)
		APPEND("may be repeated");
	if (entry->flags & OPTION_REQUIRED)
		APPEND("required");
	if (fallback && !(entry->type == OPTION_BOOL && strcmp(fallback, "false") == 0))
		APPEND("default: %s", fallback);
	if (!fallback && entry->example)
		APPEND("example: %s", entry->example);
#undef APPEND
}

static void print_entry(FILE *stream, const struct option_entry *entry, size_t indent)
{
	char left[128];
	char facts[OPTION_FACTS_MAX];
	char text[2048];
	size_t column = format_left(entry, left, sizeof(left));

	options_format_facts(entry, facts, sizeof(facts));
	(void)snprintf(text, sizeof(text), facts[0] ? "%s\n[%s]" : "%s", entry->help, facts);
	(void)fputs(left, stream);
	if (column + 2 > indent) {
		(void)fputc('\n', stream);
		column = 0;
	}
	print_wrapped(stream, text, indent, column);
}

static void print_entries(const struct options_command *command, FILE *stream)
{
	const struct option_entry help = {
		.name = "help",
		.type = OPTION_BOOL,
		.help = "Print this text and exit. Also -h.",
	};
	const struct option_entry version = {
		.name = "version",
		.type = OPTION_BOOL,
		.help = "Print the version and exit. Also -V.",
	};
	size_t indent = right_column(command);
	size_t i;

	if (command->entry_count == 0 || !command->entries[0].section)
		(void)fputs("\nOptions\n", stream);
	for (i = 0; i < command->entry_count; i++) {
		if (command->entries[i].section)
			(void)fprintf(stream, "\n%s\n", command->entries[i].section);
		print_entry(stream, &command->entries[i], indent);
	}
	if (command->entry_count > 0)
		(void)fputs("\nHelp\n", stream);
	print_entry(stream, &help, indent);
	print_entry(stream, &version, indent);
	(void)fputc('\n', stream);
	print_wrapped(stream,
		      "One dash works like two, and \"--name=value\" like \"--name value\". "
		      "\"--name=false\" turns a switch off. Of an option that is given twice the "
		      "last value counts, unless it may be repeated. \"--\" ends the options.",
		      0, 0);
}

void options_print_help(const struct options_command *command, FILE *stream)
{
	size_t i;

	(void)fprintf(stream, "%s - %s\n\nUsage\n  %s [OPTION]...%s%s\n", command->name,
		      command->summary, command->name, command->arguments ? " " : "",
		      command->arguments ? command->arguments : "");
	if (command->description) {
		(void)fputc('\n', stream);
		print_wrapped(stream, command->description, 0, 0);
	}
	print_entries(command, stream);
	if (command->example_count > 0)
		(void)fputs("\nExamples\n", stream);
	for (i = 0; i < command->example_count; i++) {
		print_wrapped(stream, command->examples[i].text, 2, 0);
		/* Commands are not wrapped, so that they can be copied. */
		(void)fprintf(stream, "      %s\n", command->examples[i].command);
	}
	if (command->status_count > 0)
		(void)fputs("\nExit status\n", stream);
	for (i = 0; i < command->status_count; i++) {
		int column = fprintf(stream, "  %3d  ", command->statuses[i].status);

		print_wrapped(stream, command->statuses[i].meaning, 7, (size_t)column);
	}
	(void)fflush(stream);
}

static int check_entry(const struct option_entry *entry)
{
	union {
		bool boolean;
		unsigned int number;
		const char *string;
		struct option_address address;
		struct endpoint endpoint;
		struct option_prefix prefix;
	} scratch;
	bool list = entry->type == OPTION_STRINGS || entry->type == OPTION_PREFIXES;

	if (!entry->help || !*entry->help)
		log_error("option --%s has no help", entry->name);
	else if ((entry->type == OPTION_BOOL) != !entry->argument)
		log_error("option --%s: only a boolean has no argument name", entry->name);
	else if ((entry->type == OPTION_CHOICE) != !!entry->choices)
		log_error("option --%s: only a choice has choices", entry->name);
	else if (list && entry->default_text)
		log_error("option --%s: a list has no default text", entry->name);
	else if (entry->default_text && option_store(entry, entry->default_text, &scratch) < 0)
		log_error("option --%s: its default '%s' is not valid", entry->name,
			  entry->default_text);
	else if (!list && entry->example && option_store(entry, entry->example, &scratch) < 0)
		log_error("option --%s: its example '%s' is not valid", entry->name,
			  entry->example);
	else
		return 0;
	return -EINVAL;
}

int options_check(const struct options_command *command)
{
	size_t i, j;
	int error = 0;

	for (i = 0; i < command->entry_count && error == 0; i++) {
		const char *name = command->entries[i].name;

		if (!name || !*name || *name == '-' || strpbrk(name, "= ")) {
			log_error("%s: option %zu has no good name", command->name, i);
			return -EINVAL;
		}
		for (j = 0; j < i; j++) {
			if (strcmp(name, command->entries[j].name) != 0)
				continue;
			log_error("%s: two options are named --%s", command->name, name);
			return -EINVAL;
		}
		error = check_entry(&command->entries[i]);
	}
	return error;
}
