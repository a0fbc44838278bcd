// SPDX-License-Identifier: Apache-2.0
#include "names/name_first.h"

#include <string.h>

void name_first_learn(struct name_first *first, const struct socket_address *addresses,
		      size_t count)
{
	if (first->count > 0)
		return;
	memcpy(first->addresses, addresses, count * sizeof(*addresses));
	first->count = count;
}

bool name_first_has(const struct name_first *first, const struct socket_address *address)
{
	struct socket_address copy = *address;
	size_t i;

	for (i = 0; i < first->count; i++) {
		struct socket_address found = first->addresses[i];

		*socket_address_port(&copy) = *socket_address_port(&found);
		if (socket_address_equal(&copy, &found))
			return true;
	}
	return false;
}
