// SPDX-License-Identifier: Apache-2.0
#include "steering/plan_maps.h"

#include <errno.h>
#include <string.h>

#include "lib/link_scope.h"
#include "lib/util.h"
#include "steering/plan_inner.h"

/* Loopback addresses, which the application owns. */
static const char *const loopback_prefixes[] = {"127.0.0.0/8", "::1/128"};

/* Adds a subnet, or another source of one that is there. Returns the entry. */
static struct plan_bypass *bypass_put(struct plan *plan, const struct prefix *prefix,
				      uint32_t source)
{
	struct plan_bypass *bypass = plan->lists[PLAN_BYPASS].items;
	size_t i;

	for (i = 0; i < plan->lists[PLAN_BYPASS].count; i++)
		if (prefix_equal(&bypass[i].prefix, prefix))
			break;
	if (i < plan->lists[PLAN_BYPASS].count)
		bypass = &bypass[i];
	else
		bypass = plan_append(plan, PLAN_BYPASS);
	bypass->prefix = *prefix;
	bypass->value.sources |= source;
	return bypass;
}

/* Adds what somebody gave. Of several with one prefix the first one is named. */
static void bypass_given(struct plan *plan, const struct plan_given *given, size_t count,
			 uint32_t source)
{
	size_t i;

	for (i = 0; i < count; i++) {
		struct plan_bypass *bypass = bypass_put(plan, &given[i].prefix, source);

		if (bypass->origin.option == BYPASS_OPTION_UNKNOWN)
			bypass->origin.option = given[i].option;
		if (!*bypass->origin.network)
			memcpy(bypass->origin.network, given[i].network,
			       sizeof(bypass->origin.network));
	}
}

/* Adds the subnets that routes of the main table reach directly, and those of inner devices. */
static void bypass_connected(const struct plan_input *input, struct plan *plan)
{
	bool bridge_mode = input->mode == SIDESTEP_MODE_BRIDGE;
	size_t i;

	for (i = 0; i < input->route_count; i++) {
		const struct netlink_route *route = &input->routes[i];
		const struct netlink_link *link = plan_input_link(input, route->ifindex);
		struct plan_bypass *bypass;

		if (!link || link->loopback ||
		    (!plan_input_connected(input, route) && !plan_inner_route(input, route)))
			continue;
		/* Containers are behind the host's bridges. Its other subnets are the outside. */
		if (bridge_mode && !link->bridge)
			continue;
		bypass = bypass_put(plan, &route->destination, SIDESTEP_FROM_CONNECTED);
		if (bridge_mode)
			bypass->value.ifindex = link->ifindex;
		memcpy(bypass->origin.device, link->name, sizeof(bypass->origin.device));
	}
}

/* Only the resolvers of the namespace itself stay reachable. They ask others by packets of it. */
static void bypass_except_dns(struct plan *plan)
{
	struct plan_bypass *bypass = plan->lists[PLAN_BYPASS].items;
	size_t i;

	for (i = 0; i < plan->lists[PLAN_BYPASS].count; i++)
		if (!(bypass[i].value.sources & SIDESTEP_FROM_LOCAL))
			bypass[i].value.sources |= SIDESTEP_EXCEPT_DNS;
}

static int put_bypasses(const struct plan_input *input, struct plan *plan)
{
	size_t room = ARRAY_SIZE(loopback_prefixes) + LINK_SCOPE_PREFIXES + input->option_count +
		      1 + input->docker_count + input->route_count + input->address_count;
	struct prefix prefix;
	size_t i;

	if (plan_reserve(plan, PLAN_BYPASS, room) < 0)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(loopback_prefixes); i++)
		if (prefix_parse(loopback_prefixes[i], &prefix) == 0)
			(void)bypass_put(plan, &prefix, SIDESTEP_FROM_LOCAL);
	for (i = 0; i < LINK_SCOPE_PREFIXES; i++)
		if (prefix_parse(link_scope_prefixes[i], &prefix) == 0)
			(void)bypass_put(plan, &prefix, SIDESTEP_FROM_BUILTIN);
	bypass_given(plan, input->options, input->option_count, SIDESTEP_FROM_OPTION);
	if (input->gateway)
		(void)bypass_put(plan, input->gateway, SIDESTEP_FROM_GATEWAY);
	bypass_given(plan, input->docker, input->docker_count, SIDESTEP_FROM_DOCKER);
	bypass_connected(input, plan);
	if (input->mode == SIDESTEP_MODE_BRIDGE)
		return 0;
	for (i = 0; i < input->address_count; i++) {
		prefix = (struct prefix) {.length = 128};
		memcpy(prefix.address, input->addresses[i].address, sizeof(prefix.address));
		(void)bypass_put(plan, &prefix, SIDESTEP_FROM_LOCAL);
	}
	if (input->internet_off)
		bypass_except_dns(plan);
	return 0;
}

int plan_maps_bypass(const struct plan_input *input, struct plan *plan)
{
	int error = put_bypasses(input, plan);
	struct plan_bypass *bypass = plan->lists[PLAN_BYPASS].items;
	size_t i;

	for (i = 0; i < plan->lists[PLAN_BYPASS].count; i++)
		bypass[i].origin.sources = bypass[i].value.sources;
	return error;
}

static bool is_steered_bridge(const struct plan_input *input, const char *name)
{
	size_t i;

	for (i = 0; i < input->bridge_count; i++)
		if (strcmp(input->bridges[i], name) == 0)
			return true;
	return false;
}

/* Adds a device of the namespace. The guard reads frames of Ethernet, and frames without a
 * link-layer header. An inner bridge speaks for its ports. */
static void device_put(const struct plan_input *input, const struct netlink_link *link,
		       struct plan *plan)
{
	struct plan_device *device;

	if ((!link->ethernet && !link->l3) || link->loopback ||
	    (input->inner && plan_inner_is_port(input, link)))
		return;
	device = plan_append(plan, PLAN_DEVICE);
	device->ifindex = link->ifindex;
	if (input->inner && plan_inner_is(input, link))
		device->kind = DATAPATH_INNER;
	else
		device->kind = link->l3 ? DATAPATH_UPLINK_L3 : DATAPATH_UPLINK;
}

int plan_maps_devices(const struct plan_input *input, struct plan *plan)
{
	size_t i;

	if (plan_reserve(plan, PLAN_DEVICE, input->link_count) < 0)
		return -ENOMEM;
	for (i = 0; i < input->link_count; i++) {
		const struct netlink_link *link = &input->links[i];

		if (input->mode == SIDESTEP_MODE_SIDECAR)
			device_put(input, link, plan);
		else if (is_steered_bridge(input, link->name))
			((struct plan_device *)plan_append(plan, PLAN_DEVICE))->ifindex =
				link->ifindex;
	}
	return 0;
}
