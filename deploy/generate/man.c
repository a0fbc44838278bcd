// SPDX-License-Identifier: Apache-2.0
/* Manual pages in the language of man(7), which groff and mandoc read. */
#include <ctype.h>
#include <string.h>

#include "generate.h"
#include "lib/util.h"

/* The longest line of text in the source, before some of its characters become escapes. */
#define SOURCE_COLUMNS 68

static const char *const escapes[] = {
	['\\'] = "\\e", ['\''] = "\\(aq", ['`'] = "\\(ga", ['^'] = "\\(ha", ['~'] = "\\(ti",
};

/* Prints @length bytes that are shown as they are. Hyphens are those of a command line. */
static void print_literal(FILE *stream, const char *text, size_t length)
{
	for (; length > 0; text++, length--) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '-')
			(void)fputs("\\-", stream);
		else if (byte < ARRAY_SIZE(escapes) && escapes[byte])
			(void)fputs(escapes[byte], stream);
		else
			(void)fputc(byte, stream);
	}
}

static bool is_option(const char *word, size_t length)
{
	while (length > 0 && strchr("\"([", *word)) {
		word++;
		length--;
	}
	return length > 1 && *word == '-';
}

static void print_word(FILE *stream, const char *word, size_t length)
{
	const char *end = word + length;

	if (is_option(word, length)) {
		print_literal(stream, word, length);
		return;
	}
	for (; word < end; word++) {
		if (*word == '-')
			(void)fputc('-', stream);
		else
			print_literal(stream, word, 1);
	}
}

/* Prints paragraphs that "\n" divides. Sentences end lines, and long lines are broken. */
static void print_text(FILE *stream, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t length = strcspn(text, " \n");
		bool sentence = length > 0 && strchr(".?", text[length - 1]);

		if (length > 0) {
			if (column > 0 && column + 1 + length > SOURCE_COLUMNS) {
				(void)fputc('\n', stream);
				column = 0;
			}
			/* A line that begins with a dot or a quote would be a request. */
			(void)fputs(column > 0 ? " " : strchr(".'", *text) ? "\\&" : "", stream);
			print_word(stream, text, length);
			column += length + (column > 0);
		}
		text += length;
		if (column > 0 && (!*text || *text == '\n' || sentence)) {
			(void)fputc('\n', stream);
			column = 0;
		}
		if (*text == '\n' && text[strspn(text, " \n")])
			(void)fputs(".PP\n", stream);
		text += *text == '\n' ? strspn(text, " \n") : *text ? 1 : 0;
	}
}

static void print_name(FILE *stream, const char *name)
{
	print_literal(stream, name, strlen(name));
}

/* Returns the length of the words up to the next option or "&&". */
static size_t words_length(const char *text)
{
	const char *end = text + 1;

	while (*end && !(*end == ' ' && strchr("-&", end[1])))
		end++;
	return (size_t)(end - text);
}

/* Prints a command that stays as it is when it is copied. Long ones go on behind a backslash. */
static void print_shell(FILE *stream, const char *text)
{
	size_t column = 0, length;

	(void)fputs(".PP\n.RS 4\n.nf\n", stream);
	for (; *text; text += length + (text[length] == ' ')) {
		length = words_length(text);
		if (column > 0 && column + length > SOURCE_COLUMNS - 4) {
			(void)fputs(" \\e\n    ", stream);
			column = 4;
		} else if (column > 0) {
			(void)fputc(' ', stream);
		}
		print_literal(stream, text, length);
		column += length + 1;
	}
	(void)fputs("\n.fi\n.RE\n", stream);
}

static void print_option(FILE *stream, const struct option_entry *entry)
{
	char facts[OPTION_FACTS_MAX];

	(void)fputs(".TP\n\\fB\\-\\-", stream);
	print_name(stream, entry->name);
	(void)fputs("\\fR", stream);
	if (entry->argument) {
		(void)fputs(" \\fI", stream);
		print_name(stream, entry->argument);
		(void)fputs("\\fR", stream);
	}
	(void)fputc('\n', stream);
	print_text(stream, entry->help);
	options_format_facts(entry, facts, sizeof(facts));
	if (!*facts)
		return;
	(void)fputs(".br\n", stream);
	*facts = (char)toupper((unsigned char)*facts);
	print_text(stream, facts);
}

static void print_options(FILE *stream, const struct options_command *options)
{
	const struct option_entry *common;
	size_t i;

	(void)fputs(".SH OPTIONS\n", stream);
	for (i = 0; i < options->entry_count; i++) {
		/* A table with a single section called so needs no second heading. */
		if (options->entries[i].section &&
		    strcmp(options->entries[i].section, "Options") != 0)
			(void)fprintf(stream, ".SS %s\n", options->entries[i].section);
		print_option(stream, &options->entries[i]);
	}
	if (options->entry_count > 0)
		(void)fputs(".SS Help\n", stream);
	for (i = 0; (common = common_option(i)); i++)
		print_option(stream, common);
}

static void print_examples(FILE *stream, const struct options_command *options)
{
	size_t i;

	if (options->example_count > 0)
		(void)fputs(".SH EXAMPLES\n", stream);
	for (i = 0; i < options->example_count; i++) {
		if (i > 0)
			(void)fputs(".PP\n", stream);
		print_text(stream, options->examples[i].text);
		print_shell(stream, options->examples[i].command);
	}
}

static void print_statuses(FILE *stream, const struct option_status *statuses, size_t count)
{
	size_t i;

	if (count > 0)
		(void)fputs(".SH EXIT STATUS\n", stream);
	for (i = 0; i < count; i++) {
		(void)fprintf(stream, ".TP\n%d\n", statuses[i].status);
		print_text(stream, statuses[i].meaning);
	}
}

static void print_head(FILE *stream, const char *name, const char *date, const char *summary)
{
	const char *letter;

	(void)fputs(".\\\" Generated from the option tables by deploy/generate.\n.TH ", stream);
	for (letter = name; *letter; letter++)
		(void)fprintf(stream, *letter == '-' ? "\\-" : "%c",
			      toupper((unsigned char)*letter));
	(void)fprintf(stream, " 8 %s \"sidestep %s\" \"System Administration\"\n.SH NAME\n", date,
		      SIDESTEP_VERSION);
	print_name(stream, name);
	(void)fprintf(stream, " \\-\n%s\n.SH SYNOPSIS\n", summary);
}

static void print_reference(FILE *stream, const char *name, const char *end)
{
	(void)fputs(".BR ", stream);
	print_name(stream, name);
	(void)fprintf(stream, " (8)%s\n", end);
}

/* Names the other pages in the order of the alphabet, as mandoc asks for it. */
static void print_see_also(FILE *stream, const struct command *self)
{
	const struct command *command, *next;
	const char *last = "";
	char name[64];

	(void)fputs(".SH SEE ALSO\n", stream);
	if (self) {
		print_reference(stream, "sidestep", "");
		return;
	}
	do {
		next = NULL;
		for (command = command_list; command->name; command++)
			if (command->options && strcmp(command->name, last) > 0 &&
			    (!next || strcmp(command->name, next->name) < 0))
				next = command;
		if (*last) {
			(void)snprintf(name, sizeof(name), "sidestep-%s", last);
			print_reference(stream, name, next ? "," : "");
		}
		last = next ? next->name : last;
	} while (next);
}

static void print_command(const struct command *command, const char *date, FILE *stream)
{
	const struct options_command *options = command->options;
	char name[64];

	(void)snprintf(name, sizeof(name), "sidestep-%s", command->name);
	print_head(stream, name, date, command->summary);
	(void)fprintf(stream, "\\fBsidestep %s\\fR [\\fIOPTION\\fR]...%s", command->name,
		      options->arguments ? " \\fI" : "\n");
	if (options->arguments) {
		print_name(stream, options->arguments);
		(void)fputs("\\fR\n", stream);
	}
	(void)fputs(".SH DESCRIPTION\n", stream);
	print_text(stream, options->description ? options->description : options->summary);
	print_options(stream, options);
	print_statuses(stream, options->statuses, options->status_count);
	print_examples(stream, options);
	print_see_also(stream, command);
}

static void print_overview(const char *date, FILE *stream)
{
	static const struct option_status statuses[] = {
		{STATUS_OK, "success"},
		{STATUS_FAILED, "the command failed, and the log has the reason"},
		{STATUS_USAGE, "the command line is wrong"},
		{STATUS_BUSY, "another instance is running here"},
		{STATUS_GATEWAY, "the gateway cannot be reached (doctor)"},
		{STATUS_NOBODY, "nobody is left to serve (sidecar)"},
	};
	const struct command *command;

	print_head(stream, "sidestep", date,
		   "intercept the outbound connections of Docker containers with eBPF");
	(void)fputs("\\fBsidestep\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]...\n.br\n"
		    "\\fBsidestep\\fR [\\fIOPTION\\fR]...\n.SH DESCRIPTION\n",
		    stream);
	print_text(
		stream,
		"Sidestep intercepts the outbound connections of Docker containers, and hands "
		"each one to an HTTP CONNECT gateway. The application needs no proxy setting and "
		"no change. Traffic on the containers' own bridges is never touched.\n"
		"A command line that begins with an option is the sidecar's.");
	(void)fputs(".SH COMMANDS\n", stream);
	for (command = command_list; command->name; command++) {
		if (!command->options)
			continue;
		(void)fprintf(stream, ".TP\n\\fBsidestep\\-%s\\fR(8)\n", command->name);
		print_text(stream, command->summary);
	}
	print_statuses(stream, statuses, ARRAY_SIZE(statuses));
	(void)fputs(".SH ENVIRONMENT\n.TP\nSERVER\n", stream);
	print_text(stream, "With SERVER=1 and no arguments, sidestep is the reference gateway on "
			   "0.0.0.0:8080, which dials nothing.");
	print_see_also(stream, NULL);
}

void man_print(const struct command *command, const char *date, FILE *stream)
{
	if (command)
		print_command(command, date, stream);
	else
		print_overview(date, stream);
}
