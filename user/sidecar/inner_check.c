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

/* The namespaces that devices with a default route lead to. An engine keeps all its networks in
 * one of them. */
static bool leads_with_default(const struct plan_input *input, int32_t nsid)
{
	size_t i;

	for (i = 0; i < input->link_count; i++)
		if (input->links[i].peer_nsid == nsid &&
		    plan_inner_has_default(input, &input->links[i]))
			return true;
	return false;
}

static bool has_uplink(const struct plan_input *input)
{
	size_t i;

	for (i = 0; i < input->link_count; i++)
		if (plan_inner_has_default(input, &input->links[i]))
			return true;
	return false;
}

/* Whether a sidecar that starts now would take the link for a way out, although another one has the
 * default route and leads elsewhere. */
static bool is_direct(const struct plan_input *input, const struct netlink_link *link)
{
	return link->veth && link->master == 0 && link->peer_nsid >= 0 && has_uplink(input) &&
	       !leads_with_default(input, link->peer_nsid);
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
	for (i = 0; i < input.link_count; i++) {
		const struct netlink_link *link = &input.links[i];

		if (!link->loopback && is_steered(snapshot, link))
			add_name(check->steered, link->name);
		else if (is_direct(&input, link))
			add_name(check->direct, link->name);
		else if (plan_inner_is(&input, link))
			add_name(check->others, link->name);
	}
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
