/* SPDX-License-Identifier: Apache-2.0 */
/* The types of options: their values as text, in memory and in messages. Private to options. */
#ifndef SIDESTEP_OPTIONS_VALUE_H
#define SIDESTEP_OPTIONS_VALUE_H

#include "lib/options.h"

/* Parses @text into @field; lists: appends to it. Returns 0, -EINVAL when it is not a value of the
 * entry's type, -ERANGE for a prefix with host bits, -E2BIG or -ENOMEM for lists. */
int option_store(const struct option_entry *entry, const char *text, void *field);

/* "Not given"; a list is emptied, not freed. */
void option_clear(const struct option_entry *entry, void *field);

/* A value that would be accepted, or NULL when none is known. */
const char *option_example_of(const struct option_entry *entry);

/* "a number from 1 to 65535". */
void option_describe_expected(const struct option_entry *entry, char *text, size_t size);

/* Logs why option_store() returned @error for @value; returns -ENOMEM or -EINVAL. */
int option_report_bad_value(const struct option_entry *entry, const char *value, int error);

#endif
