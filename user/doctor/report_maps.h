/* SPDX-License-Identifier: Apache-2.0 */
/* Prints pinned BPF maps as text, with their types (BTF). */
#ifndef SIDESTEP_REPORT_MAPS_H
#define SIDESTEP_REPORT_MAPS_H

#include "doctor/report_archive.h"

/* Adds a file maps/INSTANCE/MAP.txt for each map that is pinned below the folder @root, which has a
 * folder for each instance. Maps of values for each processor are left out. */
void report_maps(struct report_archive *archive, const char *root);

#endif
