/* SPDX-License-Identifier: Apache-2.0 */
/* The list of the subcommands, from which the command line, the manual pages and the completions
 * come. */
#ifndef SIDESTEP_COMMAND_LIST_H
#define SIDESTEP_COMMAND_LIST_H

#include "commands.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;		       /* NULL: not for people */
	const struct options_command *options; /* NULL: not for people */
};

/* In the order of the help. An entry without a name ends it. */
extern const struct command command_list[];

/* Returns the command of that name. Returns NULL, logged with the nearest name, if there is none.
 */
const struct command *command_find(const char *name);

#endif
