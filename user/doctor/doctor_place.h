/* SPDX-License-Identifier: Apache-2.0 */
/* Goes through the network namespaces that are to be checked, and has each check made there. */
#ifndef SIDESTEP_DOCTOR_PLACE_H
#define SIDESTEP_DOCTOR_PLACE_H

#include <jansson.h>
#include <stdbool.h>

#include "doctor/doctor_options.h"

/* The version of the JSON document; docs/DOCTOR.md describes it. */
#define DOCTOR_SCHEMA 1

/*
 * Examines what @options name. @prints: tells each finding on standard output at once. Returns the
 * findings, {"schema", "version", "status", "findings": [...]}, which the caller owns, or NULL if
 * the command line is wrong or there is no memory, logged. "status" is the exit status. The thread
 * ends in any of the namespaces.
 */
json_t *doctor_examine(const struct doctor_options *options, bool prints);

#endif
