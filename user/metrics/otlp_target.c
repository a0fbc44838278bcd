// SPDX-License-Identifier: Apache-2.0
#include "metrics/otlp_target.h"

#include <errno.h>

static int look_up(struct otlp_target *target)
{
	struct socket_address port = target->url->address, found[NAME_LOOKUP_MAX];
	uint8_t addresses[NAME_LOOKUP_MAX][16];
	int total = name_lookup(&target->lookup, target->url->name, addresses), i;

	target->count = target->next = 0;
	if (total <= 0)
		return total == 0 ? -ENOENT : total;
	for (i = 0; i < total; i++)
		socket_address_inet(addresses[i], *socket_address_port(&port), &found[i]);
	name_first_learn(&target->first, found, (size_t)total);
	for (i = 0; i < total; i++)
		if (!target->application || name_first_has(&target->first, &found[i]))
			target->addresses[target->count++] = found[i];
	return target->count > 0 ? 0 : -EXDEV;
}

int otlp_target_find(struct otlp_target *target, struct socket_address *ret_address)
{
	int error = 0;

	if (target->url->name[0] == '\0') {
		*ret_address = target->url->address;
		return 0;
	}
	if (target->next == target->count)
		error = look_up(target);
	if (error == 0)
		*ret_address = target->addresses[target->next];
	return error;
}

void otlp_target_failed(struct otlp_target *target)
{
	if (target->next < target->count)
		target->next++;
}

void otlp_target_release(struct otlp_target *target)
{
	name_lookup_clear(&target->lookup);
}
