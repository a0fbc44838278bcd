// SPDX-License-Identifier: Apache-2.0
/*
 * generate FOLDER YYYY-MM-DD - writes what `make install` copies besides the program:
 *
 *	FOLDER/man/man8/sidestep.8, sidestep-COMMAND.8
 *	FOLDER/bash-completion/completions/sidestep
 *	FOLDER/zsh/site-functions/_sidestep
 *	FOLDER/fish/vendor_completions.d/sidestep.fish
 *
 * The folders exist.
 */
#include "generate.h"

#include <errno.h>
#include <string.h>

#include "lib/log.h"
#include "lib/util.h"

const struct option_entry *common_option(size_t index)
{
	static const struct option_entry entries[] = {
		{.name = "help", .type = OPTION_BOOL, .help = "Print the options and exit."},
		{.name = "version", .type = OPTION_BOOL, .help = "Print the version and exit."},
	};

	return index < ARRAY_SIZE(entries) ? &entries[index] : NULL;
}

void first_sentence(const struct option_entry *entry, char *text, size_t size)
{
	const char *end = strstr(entry->help, ". ");
	size_t length = end ? (size_t)(end - entry->help) : strlen(entry->help);

	if (!end && length > 0 && entry->help[length - 1] == '.')
		length--;
	(void)snprintf(text, size, "%.*s", (int)length, entry->help);
}

enum value_kind value_kind(const struct option_entry *entry)
{
	switch (entry->type) {
	case OPTION_BOOL:
		return VALUE_NONE;
	case OPTION_CHOICE:
		return VALUE_CHOICE;
	default:
		break;
	}
	if (strcmp(entry->argument, "DIR") == 0)
		return VALUE_FOLDER;
	if (strstr(entry->argument, "PATH") || strstr(entry->argument, "FILE"))
		return VALUE_PATH;
	return VALUE_OTHER;
}

void first_argument_words(const struct options_command *options, char words[WORDS_MAX])
{
	size_t length = options->arguments ? strcspn(options->arguments, " ") : 0, i;

	if (length == 0 || !memchr(options->arguments, '|', length))
		length = 0;
	(void)snprintf(words, WORDS_MAX, "%.*s", (int)length,
		       options->arguments ? options->arguments : "");
	for (i = 0; words[i]; i++)
		if (words[i] == '|')
			words[i] = ' ';
}

static int file_open(const char *folder, const char *name, FILE **ret_file)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	*ret_file = fopen(path, "we");
	return *ret_file ? 0 : log_errno(-errno, "cannot write %s", path);
}

static int file_close(FILE *file, const char *name)
{
	bool failed = ferror(file);

	if (fclose(file) != 0 || failed)
		return log_errno(-EIO, "cannot write %s", name);
	return 0;
}

static int write_page(const char *folder, const struct command *command, const char *date)
{
	char name[128];
	FILE *file;
	int error;

	(void)snprintf(name, sizeof(name), "man/man8/sidestep%s%s.8", command ? "-" : "",
		       command ? command->name : "");
	error = file_open(folder, name, &file);
	if (error < 0)
		return error;
	man_print(command, date, file);
	return file_close(file, name);
}

static int write_pages(const char *folder, const char *date)
{
	const struct command *command;
	int error = write_page(folder, NULL, date);

	for (command = command_list; error == 0 && command->name; command++)
		if (command->options)
			error = write_page(folder, command, date);
	return error;
}

static int write_completions(const char *folder)
{
	static const struct {
		const char *name;
		void (*print)(FILE *stream);
	} shells[] = {
		{"bash-completion/completions/sidestep", bash_print},
		{"zsh/site-functions/_sidestep", zsh_print},
		{"fish/vendor_completions.d/sidestep.fish", fish_print},
	};
	int error = 0;
	FILE *file;
	size_t i;

	for (i = 0; error == 0 && i < ARRAY_SIZE(shells); i++) {
		error = file_open(folder, shells[i].name, &file);
		if (error < 0)
			return error;
		shells[i].print(file);
		error = file_close(file, shells[i].name);
	}
	return error;
}

int main(int argc, char **argv)
{
	int error;

	if (argc != 3) {
		(void)fprintf(stderr, "Usage: generate FOLDER YYYY-MM-DD\n");
		return STATUS_USAGE;
	}
	error = write_pages(argv[1], argv[2]);
	if (error == 0)
		error = write_completions(argv[1]);
	return error < 0 ? STATUS_FAILED : STATUS_OK;
}
