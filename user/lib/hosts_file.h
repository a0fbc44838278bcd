/* SPDX-License-Identifier: Apache-2.0 */
/* Looks names up in a file of the form of /etc/hosts (hosts(5)). */
#ifndef SIDESTEP_HOSTS_FILE_H
#define SIDESTEP_HOSTS_FILE_H

#include <stddef.h>
#include <stdint.h>

#define HOSTS_FILE_PATH "/etc/hosts"

/* Stores at most @max addresses of @name as in lib/address.h, IPv4 first, in the order of the file.
 * Returns their number. A file that cannot be read has none. */
size_t hosts_file_find(const char *path, const char *name, uint8_t (*ret_addresses)[16],
		       size_t max);

#endif
