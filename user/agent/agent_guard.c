// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_guard.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/array.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "net/netlink.h"
#include "net/netlink_link.h"

static int add_device(void *context, const struct netlink_link *link)
{
	return link->ethernet || link->l3 ? array_append(context, link) : 0;
}

/* Fills @devices with the namespace's devices that can be guarded. Returns 0 or a negative errno.
 */
static int list_devices(const struct agent_namespace *namespace, struct array *devices)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;
	int error = netns_enter(namespace->netns_fd), back;

	if (error == 0)
		error = netlink_open(&netlink);
	back = netns_enter(namespace->home_fd);
	if (back < 0 || error < 0)
		return back < 0 ? back : error;
	return netlink_dump_links(netlink, add_device, devices);
}

int agent_guard_close(struct agent_namespace *namespace)
{
	struct array devices = {.size = sizeof(struct netlink_link)};
	int first_error = agent_namespace_attach_steer(namespace), error;
	size_t i;

	error = list_devices(namespace, &devices);
	if (error < 0)
		(void)log_errno(error, "cannot list the devices of network namespace %u",
				namespace->netns);
	if (first_error == 0)
		first_error = error;
	for (i = 0; i < devices.count; i++) {
		const struct netlink_link *link = (const struct netlink_link *)devices.items + i;

		error = agent_namespace_attach_device(namespace, link->ifindex,
						      link->l3 ? DATAPATH_UPLINK_L3
							       : DATAPATH_UPLINK);
		/* -ENODEV: the device is gone. */
		if (first_error == 0 && error != -ENODEV)
			first_error = error;
	}
	free(devices.items);
	return first_error;
}
