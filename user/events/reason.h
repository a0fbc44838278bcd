/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of everything that an event's reason can be, with its remedy. docs/EVENTS.md has a row
 * for each.
 */
#ifndef SIDESTEP_REASON_H
#define SIDESTEP_REASON_H

/* Returns what mends it, or NULL: nothing needs to be mended, or it is not in the table. */
const char *reason_remedy(const char *id);

#endif
