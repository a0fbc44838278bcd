/* SPDX-License-Identifier: Apache-2.0 */
/* Converts the values of options between text, memory and messages. Private to options. */
#ifndef SIDESTEP_OPTIONS_VALUE_H
#define SIDESTEP_OPTIONS_VALUE_H

#include "lib/options_entry.h"

/* Parses @text into @field, or appends it to a list. Returns 0, -EINVAL when @text is no value of
 * the entry's type, -ERANGE for a prefix with host bits, -E2BIG or -ENOMEM for lists. */
int option_store(const struct option_entry *entry, const char *text, void *field);

/* Sets @field to "not given". A list is emptied without freeing it. */
void option_clear(const struct option_entry *entry, void *field);

/* Returns a value that would be accepted, or NULL when none is known. */
const char *option_example_of(const struct option_entry *entry);

/* Writes a description such as "a number from 1 to 65535" to @text. */
void option_describe_expected(const struct option_entry *entry, char *text, size_t size);

/* Logs why option_store() returned @error for @value. Returns -ENOMEM or -EINVAL. */
int option_report_bad_value(const struct option_entry *entry, const char *value, int error);

#endif
