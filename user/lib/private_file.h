/* SPDX-License-Identifier: Apache-2.0 */
/* Opens files for secrets, which nobody but their owner may read. */
#ifndef SIDESTEP_PRIVATE_FILE_H
#define SIDESTEP_PRIVATE_FILE_H

/*
 * Opens @path for writing. A new file has the mode 0600. It takes the place of a regular file that
 * is there, which may have other rights, or be open elsewhere. A pipe or a device is written as it
 * is, also by a link such as /dev/fd/N. Returns a descriptor, which the caller owns, or a negative
 * errno; -ELOOP: a link leads to a regular file.
 */
int private_file_open(const char *path);

#endif
