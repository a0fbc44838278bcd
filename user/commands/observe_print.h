/* SPDX-License-Identifier: Apache-2.0 */
/* Prints events as a table. */
#ifndef SIDESTEP_OBSERVE_PRINT_H
#define SIDESTEP_OBSERVE_PRINT_H

#include <jansson.h>
#include <stdbool.h>

/* Prints an event on standard output, and its message and remedy on lines of their own. */
void observe_print(const json_t *event, bool colours);

#endif
