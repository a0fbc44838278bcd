/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway that the command line names. It may be a name, whose addresses change. Containers get
 * others as they are made anew.
 */
#ifndef SIDESTEP_GATEWAY_TARGET_H
#define SIDESTEP_GATEWAY_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/socket_address.h"
#include "names/name_first.h"
#include "proto/hostname.h"

struct gateway_target {
	struct socket_address address; /* AF_UNSPEC: it has to be looked up */
	char host[HOSTNAME_MAX + 1];   /* the name without the port; "": an address was given */
	bool hosts_only;	       /* only /etc/hosts may know it */
};

/* Reads "IP:PORT", "[IPv6]:PORT" or "NAME:PORT". Returns 0 or -EINVAL. */
int gateway_target_parse(const char *text, struct gateway_target *ret_target);

/* Looks a gateway's name up, again and again. Only the addresses of the first lookup may be let out
 * (names/name_first.h). */
struct gateway_finder {
	const struct gateway_target *target; /* has a name */
	struct name_lookup lookup;
	struct name_first first;
};

/* Stores the name's addresses, with the port of @present. Those to which a route leads come first,
 * then IPv4. Returns their number, or negative errno as name_lookup(). */
int gateway_finder_find(struct gateway_finder *finder, const struct socket_address *present,
			struct socket_address ret_addresses[NAME_LOOKUP_MAX]);

/* Frees what was read. */
void gateway_finder_clear(struct gateway_finder *finder);

/* Tells cause and remedy of a lookup that failed with @error. */
void gateway_target_explain(int error, const char **ret_cause, const char **ret_remedy);

#endif
