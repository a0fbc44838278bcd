/* SPDX-License-Identifier: Apache-2.0 */
/* Reads resolv.conf(5): the resolvers that a program asks, and how it completes names. */
#ifndef SIDESTEP_RESOLV_CONF_H
#define SIDESTEP_RESOLV_CONF_H

#include <stddef.h>
#include <stdint.h>

#include "lib/search_list.h"

#define RESOLV_CONF_PATH "/etc/resolv.conf"
/* As glibc does. */
#define RESOLV_CONF_SERVERS_MAX 3

/* Zero-initialised: none. */
struct resolv_conf {
	uint8_t servers[RESOLV_CONF_SERVERS_MAX][16]; /* as in lib/address.h */
	size_t server_count;
	unsigned int ndots; /* a name with so many dots is asked for as it is, first */
	struct search_list search;
};

/* Reads the file in place of what @conf has. A file that names no resolver stands for 127.0.0.1.
 * Returns 0 or negative errno, and @conf is then as before. */
int resolv_conf_read(const char *path, struct resolv_conf *conf);

void resolv_conf_clear(struct resolv_conf *conf);

#endif
