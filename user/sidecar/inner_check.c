// SPDX-License-Identifier: Apache-2.0
#include "sidecar/inner_check.h"

#include <stdio.h>
#include <string.h>

#include "lib/log.h"
#include "net/netlink.h"
#include "steering/inner_devices.h"
#include "steering/plan_inner.h"
#include "steering/snapshot.h"

/* A sidecar that steers what comes from a device has a rule for it. */
static bool is_steered(const struct snapshot *snapshot, const struct netlink_link *link)
{
	const struct netlink_rule *rules = snapshot->rules.items;
	size_t i;

	for (i = 0; i < snapshot->rules.count; i++)
		if (strcmp(rules[i].input_name, link->name) == 0)
			return true;
	return false;
}

static void add_name(char list[INNER_CHECK_MAX], const char *name)
{
	size_t used = strlen(list);

	if (used + strlen(name) + 1 < INNER_CHECK_MAX)
		(void)snprintf(list + used, INNER_CHECK_MAX - used, "%s%s", used ? " " : "", name);
}

static void sort(const struct snapshot *snapshot, struct inner_check *check)
{
	struct inner_devices devices = {.looked = false};
	struct plan_input input = {
		.mode = SIDESTEP_MODE_SIDECAR,
		.links = snapshot->links.items,
		.link_count = snapshot->links.count,
		.routes = snapshot->routes.items,
		.route_count = snapshot->routes.count,
	};
	size_t i;

	inner_devices_look(&devices, &input);
	for (i = 0; i < input.link_count; i++)
		if (plan_inner_is(&input, &input.links[i]))
			add_name(is_steered(snapshot, &input.links[i]) ? check->steered
								       : check->others,
				 input.links[i].name);
	inner_devices_release(&devices);
}

int inner_check(struct inner_check *ret_check)
{
	struct netlink *netlink;
	struct snapshot snapshot;
	int error = netlink_open(&netlink);

	if (error < 0)
		return log_errno(error, "cannot open a netlink socket");
	*ret_check = (struct inner_check) {.steered = ""};
	error = snapshot_take(netlink, &snapshot);
	if (error == 0) {
		sort(&snapshot, ret_check);
		snapshot_release(&snapshot);
	}
	netlink_close(netlink);
	return error;
}
