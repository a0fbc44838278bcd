/* SPDX-License-Identifier: Apache-2.0 */
/* Opens the files that say how names are found: /etc/hosts and /etc/resolv.conf. A process without
 * files gets them from another one. */
#ifndef SIDESTEP_NAME_FILES_H
#define SIDESTEP_NAME_FILES_H

#include <stdio.h>

/* Sets what opens the files in place of open(2): it returns a descriptor for reading, or negative
 * errno. Before other threads start. */
void name_files_from(int (*open_file)(const char *path));

/* Opens the file @path for reading. Returns NULL with errno set. */
FILE *name_files_open(const char *path);

#endif
