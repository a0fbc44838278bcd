/* SPDX-License-Identifier: Apache-2.0 */
/* Finds a bridge of the calling thread's network namespace by its subnet. */
#ifndef SIDESTEP_BRIDGE_LOOKUP_H
#define SIDESTEP_BRIDGE_LOOKUP_H

#include <net/if.h>

#include "lib/address.h"

/* Fills @ret_name with the name of a bridge that has an address in @prefix. Returns 0, -ENOENT, or
 * another negative errno. */
int bridge_lookup(const struct prefix *prefix, char ret_name[IFNAMSIZ]);

#endif
