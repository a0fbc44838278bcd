/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the pinned maps of instances into JSON. */
#ifndef SIDESTEP_STATUS_READ_H
#define SIDESTEP_STATUS_READ_H

#include <jansson.h>

#include "lib/json.h"

/* Directories below it are read without --pin. */
#define STATUS_PIN_ROOT "/sys/fs/bpf/sidestep"

/* Append an object for each namespace that the maps of one directory serve, or those of every
 * directory below STATUS_PIN_ROOT. After an error the rest is still read. Return 0 or negative
 * errno, logged. */
int status_read_directory(const char *directory, json_t *instances);
int status_read_all(json_t *instances);

#endif
