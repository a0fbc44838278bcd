// SPDX-License-Identifier: Apache-2.0
#include "steering/bridge_uplinks.h"

#include <stdbool.h>
#include <stdlib.h>

#include "lib/log.h"

const struct netlink_link *bridge_uplink_of(const struct netlink_link *link,
					    const struct netlink_link *links, size_t link_count)
{
	size_t i;

	if (link->master == 0 || link->guest)
		return NULL;
	for (i = 0; i < link_count; i++)
		if (links[i].ifindex == link->master && links[i].bridge)
			return &links[i];
	return NULL;
}

static bool contains(const uint32_t *numbers, size_t count, uint32_t number)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (numbers[i] == number)
			return true;
	return false;
}

static bool is_among(const struct plan_device *bridges, size_t count, uint32_t ifindex)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (bridges[i].ifindex == ifindex)
			return true;
	return false;
}

void bridge_uplinks_check(struct bridge_uplinks *uplinks, const struct netlink_link *links,
			  size_t link_count, const struct plan_device *bridges, size_t bridge_count)
{
	uint32_t *found = calloc(link_count + 1, sizeof(*found));
	size_t count = 0, i;

	if (!found)
		return;
	for (i = 0; i < link_count; i++) {
		const struct netlink_link *link = &links[i];
		const struct netlink_link *bridge = bridge_uplink_of(link, links, link_count);

		if (!bridge || !is_among(bridges, bridge_count, bridge->ifindex))
			continue;
		found[count++] = link->ifindex;
		if (!contains(uplinks->told, uplinks->count, link->ifindex))
			log_warning("bridge %s: its port %s leads out of the host, and frames that "
				    "leave by it are not intercepted. Take it out of the bridge "
				    "(ip link set %s nomaster), or give the containers a bridge of "
				    "their own",
				    bridge->name, link->name, link->name);
	}
	free(uplinks->told);
	uplinks->told = found;
	uplinks->count = count;
}

void bridge_uplinks_release(struct bridge_uplinks *uplinks)
{
	free(uplinks->told);
	*uplinks = (struct bridge_uplinks) {0};
}
