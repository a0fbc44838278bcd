/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the ring buffers that the BPF programs write. Each has one reader at a time. */
#ifndef SIDESTEP_PROGRAMS_RECORDS_H
#define SIDESTEP_PROGRAMS_RECORDS_H

#include "programs/programs.h"
#include "programs/record_source.h"

/* Opens `denials`: each record is a struct sidestep_denial. Returns 0 or a negative errno. */
int programs_denials_open(const struct programs *programs, struct record_source **ret_source);

/* Opens `starters` of PROGRAMS_SHARED: each record is a struct sidestep_process, with a process's
 * first flow. Returns 0 or a negative errno. */
int programs_starters_open(const struct programs *programs, struct record_source **ret_source);

#endif
