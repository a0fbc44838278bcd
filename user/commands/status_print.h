/* SPDX-License-Identifier: Apache-2.0 */
/* Prints instances for people. */
#ifndef SIDESTEP_STATUS_PRINT_H
#define SIDESTEP_STATUS_PRINT_H

#include <jansson.h>

/* Prints one object of status_read_directory() on standard output. */
void status_print(const json_t *instance);

#endif
