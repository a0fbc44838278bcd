/* SPDX-License-Identifier: Apache-2.0 */
/* Collects a report's facts about the machine: kernel, its configuration, modules and settings. */
#ifndef SIDESTEP_REPORT_MACHINE_H
#define SIDESTEP_REPORT_MACHINE_H

#include "doctor/report_archive.h"

/* Adds kernel.txt. The kernel's command line is left out, because it may have secrets. */
void report_machine(struct report_archive *archive);

/* Adds the end of a log, at most 1 MiB. Returns 0 or a negative errno. */
int report_log(struct report_archive *archive, const char *path, const char *name);

#endif
