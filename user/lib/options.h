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
 * callers use them: -name, --name, -name=value, --name value. A boolean takes its value only with
 *"=".
 * "--" ends the options, and so does the first argument that is not one. A value may start with
 *"-", as in Go. Numbers are decimal only, unlike in Go.
 */
#ifndef SIDESTEP_OPTIONS_H
#define SIDESTEP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "lib/address.h"

/* The most values that a repeatable option may have. */
#define OPTION_LIST_MAX 256

/* The kinds of values. The type of the field at the option's offset stands in brackets. */
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
	/* For values that other programs pass on. Host bits of a prefix are cleared, and an empty
	 * text means "not given". Without this flag both are errors. */
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
	const char *argument; /* the value's name in --help, such as "PORT"; NULL for booleans */
	const char *help;     /* sentences; wrapped by --help, which also adds range and default */
	enum option_type type;
	unsigned int flags;
	size_t offset; /* of the field in the target; @type tells that field's type */
	/* Parsed like a given value, and shown in --help. NULL: false, 0 or "not given". Lists have
	 * no default. */
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
 * the last value counts. @target keeps pointers into @argv.
 *
 * Returns 0 and the index of the first argument behind the options in *@ret_first_argument. The
 * caller then releases @target with options_release(). Returns 1 after printing the help, for exit
 * status 0. Returns -EINVAL or -ENOMEM, logged, for exit status 2.
 */
int options_parse(const struct options_command *command, int argc, char **argv, void *target,
		  int *ret_first_argument);

/* Frees the lists in @target and leaves them empty. May be repeated. */
void options_release(const struct options_command *command, void *target);

/* Prints the whole help, 80 columns wide. */
void options_print_help(const struct options_command *command, FILE *stream);

/* Checks the table: unique names, a help for each entry, defaults that parse. Unit tests call it.
 * Returns 0 or -EINVAL, logged. */
int options_check(const struct options_command *command);

#endif
