// SPDX-License-Identifier: Apache-2.0
#include "steering/steering_apply.h"

#include <errno.h>

#include "lib/log.h"
#include "net/netlink_link.h"
#include "net/netlink_route.h"

static int add_bypass(const struct steering_change *change, const void *item)
{
	const struct plan_bypass *bypass = item;
	char text[ADDRESS_TEXT_MAX], origin[BYPASS_ORIGIN_MAX];
	int error = datapath_bypass_set(change->datapath, &bypass->prefix, &bypass->value);

	(void)prefix_format(&bypass->prefix, text);
	if (error < 0)
		return log_errno(error, "cannot add %s to the bypass map", text);
	if (!(bypass->value.sources & (SIDESTEP_FROM_LOCAL | SIDESTEP_FROM_BUILTIN)))
		log_info("bypass: %s %s", text, bypass_origin(&bypass->origin, origin));
	return 0;
}

static int remove_bypass(const struct steering_change *change, const void *item)
{
	const struct plan_bypass *bypass = item;
	char text[ADDRESS_TEXT_MAX];

	log_info("bypass: %s removed", prefix_format(&bypass->prefix, text));
	return datapath_bypass_remove(change->datapath, &bypass->prefix);
}

static int add_egress(const struct steering_change *change, const void *item)
{
	const struct plan_route *route = item;
	char text[ADDRESS_TEXT_MAX];
	int error;

	/* It is no failure: a gateway that does not answer now may answer later. */
	if (route->value.has_gateway)
		(void)netlink_neighbour_keep(change->netlink, route->value.ifindex,
					     route->value.gateway);
	error = datapath_route_set(change->datapath, route->source, &route->prefix, &route->value);
	if (error < 0)
		return log_errno(error, "cannot add %s to the route map",
				 prefix_format(&route->prefix, text));
	return 0;
}

static int remove_egress(const struct steering_change *change, const void *item)
{
	const struct plan_route *route = item;

	return datapath_route_remove(change->datapath, route->source, &route->prefix);
}

static int add_device(const struct steering_change *change, const void *item)
{
	const struct plan_device *device = item;
	bool inner = device->kind == DATAPATH_INNER;
	/* Packets that come from an inner device may be validated at lo. */
	const struct netlink_link *link = snapshot_link(change->snapshot,
							inner ? LOOPBACK_IFINDEX : device->ifindex);
	int error = datapath_attach_device(change->datapath, device->ifindex, device->kind);

	if (error == 0 && change->mode == SIDESTEP_MODE_SIDECAR && link) {
		error = device_settings_relax(change->settings, change->netlink, link,
					      change->inherited);
		if (error < 0 && error != -ENODEV)
			return log_errno(error, "cannot relax the source validation of device %u",
					 link->ifindex);
	}
	/* The device disappeared meanwhile. */
	return error == -ENODEV ? 0 : error;
}

static int remove_device(const struct steering_change *change, const void *item)
{
	datapath_detach_device(change->datapath, ((const struct plan_device *)item)->ifindex);
	return 0;
}

static int add_route(const struct steering_change *change, const void *item)
{
	const struct netlink_route *route = item;
	char text[ADDRESS_TEXT_MAX];
	int error = netlink_route_replace(change->netlink, route);

	/* IPv6 is off, on this device or altogether. */
	if (!address_is_ipv4(route->destination.address) &&
	    (error == -EACCES || error == -EAFNOSUPPORT || error == -EOPNOTSUPP))
		return 0;
	/* The device disappeared meanwhile or is down. */
	if (error == -ENODEV || error == -ENETDOWN)
		return 0;
	if (error < 0)
		return log_errno(error, "cannot add the route %s to table %u",
				 prefix_format(&route->destination, text), route->table);
	return 0;
}

static int remove_route(const struct steering_change *change, const void *item)
{
	/* The kernel may have removed it already, with its device or its source address. */
	(void)netlink_route_delete(change->netlink, item);
	return 0;
}

static int add_rule(const struct steering_change *change, const void *item)
{
	const struct netlink_rule *rule = item;
	int error = netlink_rule_add(change->netlink, rule);

	if (error == -EEXIST ||
	    (rule->family == AF_INET6 && (error == -EAFNOSUPPORT || error == -EOPNOTSUPP)))
		return 0;
	if (error < 0)
		return log_errno(error, "cannot add the routing rule with priority %u",
				 rule->priority);
	return 0;
}

static int remove_rule(const struct steering_change *change, const void *item)
{
	(void)netlink_rule_delete(change->netlink, item);
	return 0;
}

static const struct {
	int (*add)(const struct steering_change *change, const void *item);
	int (*remove)(const struct steering_change *change, const void *item);
} actions[PLAN_LAYERS] = {
	[PLAN_BYPASS] = {add_bypass, remove_bypass}, [PLAN_EGRESS] = {add_egress, remove_egress},
	[PLAN_DEVICE] = {add_device, remove_device}, [PLAN_ROUTE] = {add_route, remove_route},
	[PLAN_RULE] = {add_rule, remove_rule},
};

/* Goes on after a failure. Returns the first one or 0. */
static int add_layer(const struct steering_change *change, enum plan_layer layer)
{
	struct plan_difference difference = plan_added(change->wanted, change->applied, layer);
	const void *item;
	int first_error = 0, error;

	while ((item = plan_next(&difference))) {
		error = actions[layer].add(change, item);
		if (first_error == 0)
			first_error = error;
	}
	return first_error;
}

/* Does likewise with everything of @from that is not wanted. */
static int remove_layer(const struct steering_change *change, const struct plan *from,
			enum plan_layer layer)
{
	struct plan_difference difference = plan_removed(from, change->wanted, layer);
	const void *item;
	int first_error = 0, error;

	while ((item = plan_next(&difference))) {
		error = actions[layer].remove(change, item);
		if (first_error == 0)
			first_error = error;
	}
	return first_error;
}

int steering_apply(const struct steering_change *change, enum plan_layer last)
{
	int first_error = 0, layer, error;

	for (layer = 0; layer <= (int)last; layer++) {
		error = add_layer(change, layer);
		/* The datapath must know a prefix before a route leads to it. */
		if (error == 0 && (layer == PLAN_DEVICE || layer == (int)last))
			error = datapath_commit(change->datapath);
		if (first_error == 0)
			first_error = error;
	}
	/* The replaced items stay while one could not be added. */
	if (first_error < 0)
		return first_error;
	for (layer = (int)last; layer >= 0; layer--) {
		error = remove_layer(change, change->applied, layer);
		if (first_error == 0)
			first_error = error;
		error = remove_layer(change, change->doubtful, layer);
		if (first_error == 0)
			first_error = error;
	}
	error = datapath_commit(change->datapath);
	return first_error < 0 ? first_error : error;
}

int steering_apply_closed(const struct steering_change *change)
{
	int error = add_layer(change, PLAN_ROUTE);

	/* A rule must not lead to a table that lacks its routes. */
	return error < 0 ? error : add_layer(change, PLAN_RULE);
}

/* Lets go of the gateways that add_egress() made the kernel keep resolved. */
static void forget_gateways(const struct steering_change *change)
{
	const struct plan_list *list = &change->applied->lists[PLAN_EGRESS];
	const struct plan_route *routes = list->items;
	size_t i;

	for (i = 0; i < list->count; i++)
		if (routes[i].value.has_gateway)
			(void)netlink_neighbour_forget(change->netlink, routes[i].value.ifindex,
						       routes[i].value.gateway);
}

void steering_apply_nothing(const struct steering_change *change)
{
	(void)remove_layer(change, change->applied, PLAN_RULE);
	(void)remove_layer(change, change->applied, PLAN_ROUTE);
	device_settings_restore(change->settings, change->netlink);
	forget_gateways(change);
}
