/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command-line options: one table per subcommand gives parsing, defaults and --help at once.
 *
 *	static const struct option_entry entries[] = {
 *		{.section = "Interception", .name = "http-egress-port", .argument = "PORT",
 *		 .type = OPTION_UNSIGNED, .offset = offsetof(struct settings, egress_port),
 *		 .minimum = 1, .maximum = 65535, .default_text = "39000",
 *		 .help = "Port of the gateway that intercepted connections are sent to."},
 *	};
 *
 * The spellings are those of Go's package flag (https://pkg.go.dev/flag), since the incumbent's
 * callers use them: -name, --name, -name=value, --name value; a boolean takes its value only with
 * "="; "--" and the first argument that is not an option end the options. As there, a value that
 * starts with "-" is still a value. Unlike there, numbers are decimal only.
 */
#ifndef SIDESTEP_OPTIONS_H
#define SIDESTEP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "lib/address.h"

/* How often a repeatable option may be given. */
#define OPTION_LIST_MAX 256

/* What an option's value is, and in brackets the type of the field at its offset. */
enum option_type {
	OPTION_BOOL,	 /* [bool] */
	OPTION_UNSIGNED, /* [unsigned int] decimal, minimum..maximum */
	OPTION_CHOICE,	 /* [unsigned int] index into .choices */
	OPTION_STRING,	 /* [const char *] points into argv or to the default; NULL: not given */
	OPTION_ADDRESS,	 /* [struct option_address] literal address without a port */
	OPTION_ENDPOINT, /* [struct endpoint] not given: its family is AF_UNSPEC */
	OPTION_PREFIX,	 /* [struct option_prefix] */
	OPTION_STRINGS,	 /* [struct option_strings] may be repeated */
	OPTION_PREFIXES, /* [struct option_prefixes] may be repeated */
};

enum option_flags {
	/* Parsing fails when the option is absent. */
	OPTION_REQUIRED = 1 << 0,
	/* For values that programs pass on from elsewhere: a prefix's host bits are cleared instead
	 * of refused, and an empty text means "not given". Without it both are errors. */
	OPTION_LENIENT = 1 << 1,
};

struct option_address {
	bool given;
	uint8_t address[16]; /* as in address.h */
};

struct option_prefix {
	bool given;
	struct prefix prefix;
};

struct option_strings {
	const char **values; /* the texts belong to argv */
	size_t count;
};

struct option_prefixes {
	struct prefix *values;
	size_t count;
};

struct option_entry {
	const char *section;  /* heading in the help; NULL: the same as the entry before */
	const char *name;     /* without dashes */
	const char *argument; /* what --help calls the value, such as "PORT"; NULL for booleans */
	const char *help;     /* sentences; wrapped by --help, which also adds range and default */
	enum option_type type;
	unsigned int flags;
	size_t offset; /* of the field in the target, whose type goes with @type */
	/* Parsed as if it were given, and shown. NULL: false, 0, not given. Not for lists. */
	const char *default_text;
	/* Shown in place of @default_text where the default is not a constant. */
	const char *default_note;
	const char
		*example; /* a good value, for messages; NULL: the default or one of the type's */
	unsigned int minimum;
	unsigned int maximum;	    /* 0: no limit */
	const char *const *choices; /* of OPTION_CHOICE, ends with NULL */
};

struct option_example {
	const char *text;    /* what it is for */
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
 * Parses @argv from index 1 on into @target: sets every field that the table names, to its default
 * where argv says nothing, and leaves all others. Scalars: the last one wins.
 *
 * Returns 0 with the index of the first argument behind the options in *@ret_first_argument, or
 * 1 when --help or -h was met and the help is printed (exit with 0), or -EINVAL, or -ENOMEM (the
 * message is logged; exit with 2). Only after 0 is there something to options_release().
 * @target keeps pointers into @argv.
 */
int options_parse(const struct options_command *command, int argc, char **argv, void *target,
		  int *ret_first_argument);

/* Frees the lists in @target and leaves them empty; harmless when repeated. */
void options_release(const struct options_command *command, void *target);

/* The whole help, 80 columns. */
void options_print_help(const struct options_command *command, FILE *stream);

/* Whether the table itself is sound: names unique, each entry with help, defaults that parse.
 * Returns 0 or -EINVAL (logged). For the unit tests of the tables. */
int options_check(const struct options_command *command);

#endif
