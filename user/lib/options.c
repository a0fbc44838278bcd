// SPDX-License-Identifier: Apache-2.0
#include "lib/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/nearest.h"
#include "lib/options_value.h"
#include "lib/util.h"
#include "lib/version.h"

/* parse_one() returns these for the options that each command has. */
enum {
	PARSED_HELP = 1,
	PARSED_VERSION,
};

static void *entry_field(const struct option_entry *entry, void *target)
{
	return (char *)target + entry->offset;
}

static bool entry_is_list(const struct option_entry *entry)
{
	return entry->type == OPTION_STRINGS || entry->type == OPTION_PREFIXES;
}

void options_release(const struct options_command *command, void *target)
{
	size_t i;

	for (i = 0; i < command->entry_count; i++) {
		const struct option_entry *entry = &command->entries[i];
		void *field = entry_field(entry, target);

		if (!entry_is_list(entry))
			continue;
		if (entry->type == OPTION_STRINGS)
			free(((struct option_strings *)field)->values);
		else
			free(((struct option_prefixes *)field)->values);
		option_clear(entry, field);
	}
}

static const char *nearest_name(const struct options_command *command, const char *name)
{
	struct nearest nearest = {.name = name};
	size_t i;

	for (i = 0; i < command->entry_count; i++)
		nearest_consider(&nearest, command->entries[i].name);
	nearest_consider(&nearest, "help");
	nearest_consider(&nearest, "version");
	return nearest.best;
}

static int report_unknown(const struct options_command *command, const char *name)
{
	const char *nearest = nearest_name(command, name);

	if (nearest)
		log_error("unknown option --%.200s; did you mean --%s? ('%s --help' lists all)",
			  name, nearest, command->name);
	else
		log_error("unknown option --%.200s; '%s --help' lists all", name, command->name);
	return -EINVAL;
}

static const struct option_entry *find_entry(const struct options_command *command,
					     const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < command->entry_count; i++) {
		const struct option_entry *entry = &command->entries[i];

		if (strlen(entry->name) == length && memcmp(entry->name, name, length) == 0)
			return entry;
	}
	return NULL;
}

static int set_default(const struct option_entry *entry, void *target)
{
	void *field = entry_field(entry, target);
	int error;

	option_clear(entry, field);
	if (!entry->default_text)
		return 0;
	error = option_store(entry, entry->default_text, field);
	return error < 0 ? option_report_bad_value(entry, entry->default_text, error) : 0;
}

static int set_defaults(const struct options_command *command, void *target)
{
	int error = 0;
	size_t i;

	/* Clear all before setting any. options_release() needs valid lists after a bad default. */
	for (i = 0; i < command->entry_count; i++)
		option_clear(&command->entries[i], entry_field(&command->entries[i], target));
	for (i = 0; error == 0 && i < command->entry_count; i++)
		error = set_default(&command->entries[i], target);
	return error;
}

static int store_value(const struct option_entry *entry, const char *value, void *target)
{
	int error;

	if (!*value && (entry->flags & OPTION_LENIENT))
		return entry_is_list(entry) ? 0 : set_default(entry, target);
	/* An empty value nearly always comes from an unset variable of the caller's shell. */
	if (!*value && (entry->type == OPTION_STRING || entry->type == OPTION_STRINGS)) {
		log_error("--%s: the value is empty; leave the option out or give it one",
			  entry->name);
		return -EINVAL;
	}
	error = option_store(entry, value, entry_field(entry, target));
	return error < 0 ? option_report_bad_value(entry, value, error) : 0;
}

/* Parses one option at argv[*index], and its value where that is an argument of its own. Returns 0,
 * an error, PARSED_HELP or PARSED_VERSION. */
static int parse_one(const struct options_command *command, int argc, char **argv, int *index,
		     void *target, const struct option_entry **ret_entry)
{
	const char *name = argv[*index] + (argv[*index][1] == '-' ? 2 : 1);
	const char *equals = strchr(name, '=');
	size_t length = equals ? (size_t)(equals - name) : strlen(name);
	const struct option_entry *entry = find_entry(command, name, length);
	_cleanup_free_ char *copy = NULL;
	const char *example;

	if (!entry) {
		if (strcmp(name, "h") == 0 || strcmp(name, "help") == 0)
			return PARSED_HELP;
		if (strcmp(name, "V") == 0 || strcmp(name, "version") == 0)
			return PARSED_VERSION;
		copy = strndup(name, length);
		return copy ? report_unknown(command, copy)
			    : log_errno(-ENOMEM, "unknown option --%.200s", name);
	}
	*ret_entry = entry;
	if (equals)
		return store_value(entry, equals + 1, target);
	if (entry->type == OPTION_BOOL)
		return store_value(entry, "true", target);
	if (*index + 1 < argc)
		return store_value(entry, argv[++*index], target);
	example = option_example_of(entry);
	log_error("--%s needs a value%s%s%s%s", entry->name, example ? "; for example: --" : "",
		  example ? entry->name : "", example ? " " : "", example ? example : "");
	return -EINVAL;
}

static int check_arguments(const struct options_command *command, int argc, char **argv, int first)
{
	unsigned int count = (unsigned int)(argc - first);

	if (count > command->maximum_arguments) {
		log_error("unexpected argument '%.200s'; see '%s --help'",
			  argv[first + (int)command->maximum_arguments], command->name);
		return -EINVAL;
	}
	if (count < command->minimum_arguments) {
		log_error("arguments are missing: %s %s; see '%s --help'", command->name,
			  command->arguments ? command->arguments : "", command->name);
		return -EINVAL;
	}
	return 0;
}

static int check_required(const struct options_command *command, const bool *seen)
{
	size_t i;

	for (i = 0; i < command->entry_count; i++) {
		const struct option_entry *entry = &command->entries[i];
		const char *example = option_example_of(entry);

		if (seen[i] || !(entry->flags & OPTION_REQUIRED))
			continue;
		log_error("--%s is required%s%s%s%s", entry->name,
			  example ? "; for example: --" : "", example ? entry->name : "",
			  example ? " " : "", example ? example : "");
		return -EINVAL;
	}
	return 0;
}

/* Arguments may stand in front of options. They keep their order. */
static void move_to_end(int argc, char **argv, int index)
{
	char *argument = argv[index];

	memmove(argv + index, argv + index + 1, (size_t)(argc - index - 1) * sizeof(*argv));
	argv[argc - 1] = argument;
}

static int parse_all(const struct options_command *command, int argc, char **argv, void *target,
		     bool *seen, int *ret_first_argument)
{
	const struct option_entry *entry = NULL;
	int index, end = argc;
	bool over = false; /* behind "--" */
	int result;

	for (index = 1; index < end; index++) {
		/* "-" alone is an argument. By custom it names standard input. */
		if (over || argv[index][0] != '-' || !argv[index][1]) {
			/* A command without arguments reports the first one. */
			if (command->maximum_arguments == 0)
				break;
			move_to_end(argc, argv, index--);
			end--;
			continue;
		}
		over = strcmp(argv[index], "--") == 0;
		if (over)
			continue;
		result = parse_one(command, end, argv, &index, target, &entry);
		if (result != 0)
			return result;
		seen[entry - command->entries] = true;
	}
	result = check_required(command, seen);
	if (result == 0)
		result = check_arguments(command, argc, argv, index);
	if (result == 0)
		*ret_first_argument = index;
	return result;
}

int options_parse(const struct options_command *command, int argc, char **argv, void *target,
		  int *ret_first_argument)
{
	_cleanup_free_ bool *seen = calloc(command->entry_count + 1, sizeof(*seen));
	int result;

	if (!seen)
		return log_errno(-ENOMEM, "cannot read the options");
	result = set_defaults(command, target);
	if (result == 0)
		result = parse_all(command, argc, argv, target, seen, ret_first_argument);
	if (result != 0)
		options_release(command, target);
	if (result == PARSED_HELP)
		options_print_help(command, stdout);
	else if (result == PARSED_VERSION)
		version_print(stdout);
	return result > 0 ? 1 : result;
}
