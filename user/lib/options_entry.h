/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of an option table (options.h), and the types of their values. */
#ifndef SIDESTEP_OPTIONS_ENTRY_H
#define SIDESTEP_OPTIONS_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

#endif
