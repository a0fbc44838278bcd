// SPDX-License-Identifier: Apache-2.0
#include "net/bridge_lookup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"
#include "net/netlink_link.h"

struct search {
	const struct prefix *prefix;
	struct array devices; /* uint32_t: those that have such an address */
	char *name;
	bool found;
};

static int visit_address(void *context, const struct netlink_address *address)
{
	struct search *search = context;

	return prefix_contains(search->prefix, address->address)
		       ? array_append(&search->devices, &address->ifindex)
		       : 0;
}

static int visit_link(void *context, const struct netlink_link *link)
{
	struct search *search = context;
	const uint32_t *devices = search->devices.items;
	size_t i;

	for (i = 0; i < search->devices.count && link->bridge; i++) {
		if (devices[i] != link->ifindex)
			continue;
		memcpy(search->name, link->name, IFNAMSIZ);
		search->found = true;
	}
	return 0;
}

int bridge_lookup(const struct prefix *prefix, char ret_name[IFNAMSIZ])
{
	_cleanup_netlink_ struct netlink *netlink = NULL;
	struct search search = {
		.prefix = prefix,
		.devices.size = sizeof(uint32_t),
		.name = ret_name,
	};
	int error = netlink_open(&netlink);

	if (error == 0)
		error = netlink_dump_addresses(netlink, visit_address, &search);
	if (error == 0)
		error = netlink_dump_links(netlink, visit_link, &search);
	free(search.devices.items);
	return error < 0 ? error : search.found ? 0 : -ENOENT;
}
