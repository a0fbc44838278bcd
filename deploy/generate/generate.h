/* SPDX-License-Identifier: Apache-2.0 */
/* Writes manual pages and completions from the list of the commands and their option tables. */
#ifndef SIDESTEP_GENERATE_H
#define SIDESTEP_GENERATE_H

#include <stdio.h>

#include "commands/command_list.h"
#include "lib/options.h"

/* Prints the page of one command, or sidestep(8) if @command is NULL. @date is YYYY-MM-DD. */
void man_print(const struct command *command, const char *date, FILE *stream);

/* Print the completion of all commands for one shell. */
void bash_print(FILE *stream);
void zsh_print(FILE *stream);
void fish_print(FILE *stream);

/* Returns the option that every command has: --help for @index 0, --version for 1, or else NULL. */
const struct option_entry *common_option(size_t index);

/* Copies the first sentence of an option's help, without its full stop. */
void first_sentence(const struct option_entry *entry, char *text, size_t size);

enum value_kind {
	VALUE_NONE, /* a switch */
	VALUE_CHOICE,
	VALUE_PATH,
	VALUE_FOLDER,
	VALUE_OTHER,
};

/* Tells how a shell completes the option's value. */
enum value_kind value_kind(const struct option_entry *entry);

/* Writes the words that the first argument may be, such as "list add del", or "". */
#define WORDS_MAX 64
void first_argument_words(const struct options_command *options, char words[WORDS_MAX]);

#endif
