/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of everything that an event's reason can be, with its remedy. docs/EVENTS.md has a row
 * for each.
 */
#ifndef SIDESTEP_REASON_H
#define SIDESTEP_REASON_H

#include <stddef.h>

/* Returns what mends it, or NULL: nothing needs to be mended, or it is not in the table. */
const char *reason_remedy(const char *id);

/* Returns the id at that place of the table, or NULL at its end. */
const char *reason_at(size_t index);

#endif
