/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks up the addresses of a name, as programs of this container would: in /etc/hosts, then with
 * the resolvers and the search list of /etc/resolv.conf. The queries are not intercepted, because
 * their sockets are announced. getaddrinfo(3) has no such sockets, and needs libraries that a
 * static program lacks.
 */
#ifndef SIDESTEP_NAME_LOOKUP_H
#define SIDESTEP_NAME_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/resolv_conf.h"
#include "stream/dial.h"

/* The most addresses that are told. */
#define NAME_LOOKUP_MAX 8
/* How long a lookup takes at most, ms. */
#define NAME_LOOKUP_LIMIT_MS 3000

/* Belongs to one thread. */
struct name_lookup {
	struct dial_announcer announcer; /* told of each socket before its first packet */
	int stop_fd; /* becomes readable to end a lookup with -ECANCELED; negative: none */
	struct resolv_conf conf; /* as last read; zero-initialised */
};

/* Tells whether @name can be looked up. */
bool name_lookup_valid(const char *name);

/* Stores addresses as in lib/address.h, IPv4 first. Returns their number, -ENOENT: nobody knows the
 * name, -ETIMEDOUT: no resolver has an answer, or another negative errno. */
int name_lookup(struct name_lookup *lookup, const char *name,
		uint8_t ret_addresses[NAME_LOOKUP_MAX][16]);

/* Frees what was read. */
void name_lookup_clear(struct name_lookup *lookup);

#endif
