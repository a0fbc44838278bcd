/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses that the first lookup of a name found. The application may be able to answer in a
 * resolver's place, or to write the hosts file. That lookup mostly comes before the application, so
 * it decides which addresses may be let out.
 */
#ifndef SIDESTEP_NAME_FIRST_H
#define SIDESTEP_NAME_FIRST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/socket_address.h"
#include "names/name_lookup.h"

/* Zero-initialised: no lookup had an answer yet. */
struct name_first {
	struct socket_address addresses[NAME_LOOKUP_MAX];
	size_t count;
};

/* Takes what a lookup found, unless an earlier one had an answer. */
void name_first_learn(struct name_first *first, const struct socket_address *addresses,
		      size_t count);

/* Tells whether the first lookup found @address, whatever its port. */
bool name_first_has(const struct name_first *first, const struct socket_address *address);

#endif
