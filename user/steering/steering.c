// SPDX-License-Identifier: Apache-2.0
#include "steering/steering.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/rtnetlink.h>

#include "lib/log.h"
#include "lib/util.h"
#include "net/device_settings.h"
#include "net/netlink.h"
#include "steering/plan.h"

/* How often a dump is repeated that the kernel's own changes have torn. */
#define DUMP_TRIES 8

struct steering {
	struct steering_config config;
	struct netlink *netlink;
	struct steering_way way;
	struct prefix *options;
	struct prefix *docker;
	size_t docker_count;
	char **bridges;
	size_t bridge_count;
	bool looked, inherited;	     /* see steering_inherited() */
	struct plan applied;	     /* what is in force, as far as we know */
	const struct snapshot *seen; /* during a sync: what it started from */
	struct device_settings settings;
};

/* A growing array that a dump fills. */
struct collection {
	void *items;
	size_t count;
	size_t limit;
	size_t size; /* of an item, bytes */
};

struct snapshot {
	struct collection links;
	struct collection addresses;
	struct collection routes;
	struct collection rules; /* ours only */
};

static int collect(struct collection *collection, const void *item)
{
	void *items;

	if (collection->count == collection->limit)
		return -ENOSPC;
	/* Doubles: the size is a power of two exactly when more room is needed. */
	if ((collection->count & (collection->count - 1)) == 0) {
		size_t room = collection->count ? 2 * collection->count : 1;

		items = reallocarray(collection->items, room, collection->size);
		if (!items)
			return -ENOMEM;
		collection->items = items;
	}
	memcpy((char *)collection->items + collection->count++ * collection->size, item,
	       collection->size);
	return 0;
}

static int collect_link(void *context, const struct netlink_link *link)
{
	return collect(&((struct snapshot *)context)->links, link);
}

static int collect_address(void *context, const struct netlink_address *address)
{
	return collect(&((struct snapshot *)context)->addresses, address);
}

static int collect_route(void *context, const struct netlink_route *route)
{
	return collect(&((struct snapshot *)context)->routes, route);
}

static int collect_own_rule(void *context, const struct netlink_rule *rule)
{
	if (rule->protocol != NETLINK_PROTOCOL_SIDESTEP)
		return 0;
	return collect(&((struct snapshot *)context)->rules, rule);
}

static void snapshot_release(struct snapshot *snapshot)
{
	free(snapshot->links.items);
	free(snapshot->addresses.items);
	free(snapshot->routes.items);
	free(snapshot->rules.items);
}

static int snapshot_try(struct netlink *netlink, struct snapshot *snapshot)
{
	static const int families[] = {AF_INET, AF_INET6};
	size_t i;
	int error;

	*snapshot = (struct snapshot) {
		.links = {.limit = PLAN_MAX_LINKS, .size = sizeof(struct netlink_link)},
		.addresses = {.limit = PLAN_MAX_ADDRESSES, .size = sizeof(struct netlink_address)},
		.routes = {.limit = PLAN_MAX_ROUTES, .size = sizeof(struct netlink_route)},
		.rules = {.limit = PLAN_MAX_ROUTES, .size = sizeof(struct netlink_rule)},
	};
	error = netlink_dump_links(netlink, collect_link, snapshot);
	if (error == 0)
		error = netlink_dump_addresses(netlink, collect_address, snapshot);
	for (i = 0; i < ARRAY_SIZE(families) && error == 0; i++) {
		error = netlink_dump_routes(netlink, families[i], collect_route, snapshot);
		if (error == 0)
			error = netlink_dump_rules(netlink, families[i], collect_own_rule,
						   snapshot);
		/* A kernel without IPv6 has nothing to list. */
		if (families[i] == AF_INET6 && (error == -EAFNOSUPPORT || error == -EOPNOTSUPP))
			error = 0;
	}
	return error;
}

static int snapshot_take(struct netlink *netlink, struct snapshot *ret_snapshot)
{
	int error, i;

	for (i = 0; i < DUMP_TRIES; i++) {
		error = snapshot_try(netlink, ret_snapshot);
		if (error >= 0)
			return 0;
		snapshot_release(ret_snapshot);
		if (error != -EINTR)
			break;
	}
	return log_errno(error, "cannot list the links, addresses, routes and rules of the network "
				"namespace");
}

/* What is ours in the namespace is in force, whoever put it there: a killed predecessor, say. */
static int adopt(struct plan *applied, const struct snapshot *snapshot)
{
	const struct netlink_route *routes = snapshot->routes.items;
	struct plan_list *list = &applied->lists[PLAN_ROUTE];
	size_t i;

	for (i = PLAN_ROUTE; i <= PLAN_RULE; i++) {
		free(applied->lists[i].items);
		applied->lists[i] = (struct plan_list) {0};
	}
	list->items = calloc(snapshot->routes.count + 1, sizeof(*routes));
	applied->lists[PLAN_RULE].items = calloc(snapshot->rules.count + 1,
						 sizeof(struct netlink_rule));
	if (!list->items || !applied->lists[PLAN_RULE].items)
		return -ENOMEM;
	for (i = 0; i < snapshot->routes.count; i++) {
		struct netlink_route route = routes[i];

		if (route.protocol != NETLINK_PROTOCOL_SIDESTEP)
			continue;
		/* The kernel lists the IPv6 ones on lo, where they never led. */
		if (route.type == RTN_UNREACHABLE || route.type == RTN_THROW)
			route.ifindex = 0;
		((struct netlink_route *)list->items)[list->count++] = route;
	}
	if (snapshot->rules.count)
		memcpy(applied->lists[PLAN_RULE].items, snapshot->rules.items,
		       snapshot->rules.count * sizeof(struct netlink_rule));
	applied->lists[PLAN_RULE].count = snapshot->rules.count;
	plan_tidy(applied, PLAN_ROUTE);
	plan_tidy(applied, PLAN_RULE);
	return 0;
}

int steering_new(const struct steering_config *config, struct steering **ret_steering)
{
	struct steering *steering = calloc(1, sizeof(*steering));
	int error;

	if (!steering)
		return -ENOMEM;
	steering->config = *config;
	steering->options = calloc(config->option_count + 1, sizeof(*steering->options));
	if (!steering->options) {
		free(steering);
		return -ENOMEM;
	}
	if (config->option_count)
		memcpy(steering->options, config->options,
		       config->option_count * sizeof(*steering->options));
	error = netlink_open(&steering->netlink);
	if (error < 0) {
		steering_free(steering);
		return log_errno(error, "cannot open a netlink socket");
	}
	*ret_steering = steering;
	return 0;
}

static void free_names(char **names, size_t count)
{
	while (count > 0)
		free(names[--count]);
	free(names);
}

void steering_free(struct steering *steering)
{
	if (!steering)
		return;
	netlink_close(steering->netlink);
	plan_release(&steering->applied);
	free_names(steering->bridges, steering->bridge_count);
	free(steering->docker);
	free(steering->options);
	free(steering);
}

int steering_set_docker(struct steering *steering, const struct prefix *prefixes, size_t count)
{
	struct prefix *copy = calloc(count + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	if (count)
		memcpy(copy, prefixes, count * sizeof(*copy));
	free(steering->docker);
	steering->docker = copy;
	steering->docker_count = count;
	return 0;
}

int steering_set_bridges(struct steering *steering, const char *const *names, size_t count)
{
	char **copy = calloc(count + 1, sizeof(*copy));
	size_t i;

	if (!copy)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		copy[i] = strdup(names[i]);
		if (!copy[i]) {
			free_names(copy, i);
			return -ENOMEM;
		}
	}
	free_names(steering->bridges, steering->bridge_count);
	steering->bridges = copy;
	steering->bridge_count = count;
	return 0;
}

void steering_set_datapath(struct steering *steering, struct datapath *datapath,
			   const struct steering_way *way)
{
	int layer;

	steering->way = *way;
	if (steering->config.datapath == datapath)
		return;
	steering->config.datapath = datapath;
	/* Nothing of these is in force there yet. Routes and rules are no datapath's. */
	for (layer = PLAN_BYPASS; layer <= PLAN_DEVICE; layer++) {
		free(steering->applied.lists[layer].items);
		steering->applied.lists[layer] = (struct plan_list) {0};
	}
}

size_t steering_device_count(const struct steering *steering)
{
	return steering->applied.lists[PLAN_DEVICE].count;
}

static int add_bypass(void *context, const void *element)
{
	struct steering *steering = context;
	const struct plan_bypass *bypass = element;
	char text[ADDRESS_TEXT_MAX];
	int error = datapath_bypass_set(steering->config.datapath, &bypass->prefix, &bypass->value);

	if (error < 0)
		return log_errno(error, "cannot add %s to the bypass map",
				 prefix_format(&bypass->prefix, text));
	if (!(bypass->value.sources & (SIDESTEP_FROM_LOCAL | SIDESTEP_FROM_BUILTIN)))
		log_info("bypass: %s%s%s%s%s", prefix_format(&bypass->prefix, text),
			 bypass->value.sources & SIDESTEP_FROM_OPTION ? " option" : "",
			 bypass->value.sources & SIDESTEP_FROM_CONNECTED ? " connected" : "",
			 bypass->value.sources & SIDESTEP_FROM_DOCKER ? " docker" : "",
			 bypass->value.sources & SIDESTEP_FROM_GATEWAY ? " gateway" : "");
	return 0;
}

struct removal {
	struct steering *steering;
	const struct plan *wanted;
};

static int remove_bypass(void *context, const void *element)
{
	struct removal *removal = context;
	const struct plan_list *wanted = &removal->wanted->lists[PLAN_BYPASS];
	const struct plan_bypass *bypass = element;
	char text[ADDRESS_TEXT_MAX];
	size_t i;

	/* Only its value has changed, and was set already. */
	for (i = 0; i < wanted->count; i++)
		if (prefix_equal(&((const struct plan_bypass *)wanted->items)[i].prefix,
				 &bypass->prefix))
			return 0;
	log_info("bypass: %s removed", prefix_format(&bypass->prefix, text));
	return datapath_bypass_remove(removal->steering->config.datapath, &bypass->prefix);
}

static int add_egress(void *context, const void *element)
{
	struct steering *steering = context;
	const struct plan_route *route = element;
	char text[ADDRESS_TEXT_MAX];
	int error;

	/* A gateway that does not answer now may do so later: no failure. */
	if (route->value.has_gateway)
		(void)netlink_neighbour_keep(steering->netlink, route->value.ifindex,
					     route->value.gateway);
	error = datapath_route_set(steering->config.datapath, &route->prefix, &route->value);
	if (error < 0)
		return log_errno(error, "cannot add %s to the route map",
				 prefix_format(&route->prefix, text));
	return 0;
}

static int remove_egress(void *context, const void *element)
{
	struct removal *removal = context;
	const struct plan_list *wanted = &removal->wanted->lists[PLAN_EGRESS];
	const struct plan_route *route = element;
	size_t i;

	for (i = 0; i < wanted->count; i++)
		if (prefix_equal(&((const struct plan_route *)wanted->items)[i].prefix,
				 &route->prefix))
			return 0;
	return datapath_route_remove(removal->steering->config.datapath, &route->prefix);
}

static int relax_source_validation(struct steering *steering, uint32_t ifindex)
{
	const struct netlink_link *links = steering->seen->links.items;
	size_t i;

	for (i = 0; i < steering->seen->links.count; i++)
		if (links[i].ifindex == ifindex)
			return device_settings_relax(&steering->settings, steering->netlink,
						     &links[i], steering->seen->rules.count > 0);
	return 0;
}

static int add_device(void *context, const void *element)
{
	struct steering *steering = context;
	uint32_t ifindex = *(const uint32_t *)element;
	int error = datapath_attach_device(steering->config.datapath, ifindex);

	if (error == 0 && steering->config.mode == SIDESTEP_MODE_SIDECAR) {
		error = relax_source_validation(steering, ifindex);
		if (error < 0 && error != -ENODEV)
			return log_errno(error, "cannot relax the source validation of device %u",
					 ifindex);
	}
	return error == -ENODEV ? 0 : error;
}

static int remove_device(void *context, const void *element)
{
	struct removal *removal = context;

	datapath_detach_device(removal->steering->config.datapath, *(const uint32_t *)element);
	return 0;
}

static int add_route(void *context, const void *element)
{
	struct steering *steering = context;
	const struct netlink_route *route = element;
	char text[ADDRESS_TEXT_MAX];
	int error = netlink_route_replace(steering->netlink, route);

	/* IPv6 is off on this device or altogether, or the device went meanwhile. */
	if (!address_is_ipv4(route->destination.address) &&
	    (error == -EACCES || error == -EAFNOSUPPORT || error == -EOPNOTSUPP))
		return 0;
	if (error == -ENODEV || error == -ENETDOWN)
		return 0;
	if (error < 0)
		return log_errno(error, "cannot add the route %s to table %u",
				 prefix_format(&route->destination, text), route->table);
	return 0;
}

static int remove_route(void *context, const void *element)
{
	struct removal *removal = context;
	const struct plan_list *wanted = &removal->wanted->lists[PLAN_ROUTE];
	const struct netlink_route *route = element, *other = wanted->items;
	size_t i;

	/* Replaced already: deleting by the old one's key would hit the new one. */
	for (i = 0; i < wanted->count; i++, other++)
		if (other->table == route->table && other->metric == route->metric &&
		    prefix_equal(&other->destination, &route->destination))
			return 0;
	/* Routes go by themselves with their device or their source address. */
	(void)netlink_route_delete(removal->steering->netlink, route);
	return 0;
}

static int add_rule(void *context, const void *element)
{
	struct steering *steering = context;
	const struct netlink_rule *rule = element;
	int error = netlink_rule_add(steering->netlink, rule);

	if (error == -EEXIST ||
	    (rule->family == AF_INET6 && (error == -EAFNOSUPPORT || error == -EOPNOTSUPP)))
		return 0;
	if (error < 0)
		return log_errno(error, "cannot add the routing rule with priority %u",
				 rule->priority);
	return 0;
}

static int remove_rule(void *context, const void *element)
{
	struct removal *removal = context;

	(void)netlink_rule_delete(removal->steering->netlink, element);
	return 0;
}

static const struct {
	int (*add)(void *steering, const void *item);
	int (*remove)(void *removal, const void *item);
} layers[PLAN_LAYERS] = {
	[PLAN_BYPASS] = {add_bypass, remove_bypass}, [PLAN_EGRESS] = {add_egress, remove_egress},
	[PLAN_DEVICE] = {add_device, remove_device}, [PLAN_ROUTE] = {add_route, remove_route},
	[PLAN_RULE] = {add_rule, remove_rule},
};

static int apply(struct steering *steering, const struct plan *wanted, enum plan_layer last)
{
	struct removal removal = {.steering = steering, .wanted = wanted};
	int first_error = 0, layer, error;

	for (layer = 0; layer <= (int)last; layer++) {
		error = plan_difference(wanted, &steering->applied, layer, layers[layer].add,
					steering);
		/* The datapath knows a prefix before any route leads by it. */
		if (error == 0 && (layer == PLAN_DEVICE || layer == (int)last))
			error = datapath_commit(steering->config.datapath);
		if (first_error == 0)
			first_error = error;
	}
	/* While something could not be added, what it replaces stays. */
	if (first_error < 0)
		return first_error;
	for (layer = (int)last; layer >= 0; layer--) {
		error = plan_difference(&steering->applied, wanted, layer, layers[layer].remove,
					&removal);
		if (first_error == 0)
			first_error = error;
	}
	error = datapath_commit(steering->config.datapath);
	return first_error < 0 ? first_error : error;
}

/* @last: the last layer that is applied. */
static int sync_until(struct steering *steering, enum plan_layer last)
{
	const struct steering_config *config = &steering->config;
	struct snapshot snapshot;
	struct plan wanted;
	int error;

	error = snapshot_take(steering->netlink, &snapshot);
	if (error < 0)
		return error;
	if (!steering->looked)
		steering->inherited = snapshot.rules.count > 0;
	steering->looked = true;
	error = plan_make(
		&(struct plan_input) {
			.mode = config->mode,
			.links = snapshot.links.items,
			.link_count = snapshot.links.count,
			.addresses = snapshot.addresses.items,
			.address_count = snapshot.addresses.count,
			.routes = snapshot.routes.items,
			.route_count = snapshot.routes.count,
			.options = steering->options,
			.option_count = config->option_count,
			.docker = steering->docker,
			.docker_count = steering->docker_count,
			.bridges = (const char *const *)steering->bridges,
			.bridge_count = steering->bridge_count,
			.anchor_ifindex = config->anchor_ifindex,
			.ipv6_refused = config->ipv6_refused,
			.out_mark = steering->way.out_mark,
			.gateway = steering->way.has_gateway ? &steering->way.gateway : NULL,
		},
		&wanted);
	if (error == 0) {
		error = adopt(&steering->applied, &snapshot);
		steering->seen = &snapshot;
		/* Before any connection takes the way over lo, whose sockets keep what they find.
		 */
		if (error == 0 && config->mode == SIDESTEP_MODE_SIDECAR)
			device_settings_enlarge_loopback(&steering->settings, steering->netlink,
							 snapshot.links.items, snapshot.links.count,
							 snapshot.rules.count > 0);
		if (error == 0)
			error = apply(steering, &wanted, last);
		steering->seen = NULL;
		/* After a failure the old plan stands, and the next call tries everything anew. */
		if (error == 0) {
			plan_release(&steering->applied);
			steering->applied = wanted;
		} else {
			plan_release(&wanted);
		}
	}
	snapshot_release(&snapshot);
	return error;
}

static bool is_bypassed(const struct steering *steering, const uint8_t address[16])
{
	const struct plan_list *list = &steering->applied.lists[PLAN_BYPASS];
	const struct plan_bypass *items = list->items;
	size_t i;

	for (i = 0; i < list->count; i++)
		if (prefix_contains(&items[i].prefix, address))
			return true;
	return false;
}

bool steering_inbound_add(struct steering *steering, const struct sidestep_flow_key *key)
{
	return is_bypassed(steering, key->local_address) &&
	       !is_bypassed(steering, key->remote_address) &&
	       datapath_inbound_add(steering->config.datapath, key) == 0;
}

bool steering_inherited(const struct steering *steering)
{
	return steering->inherited;
}

int steering_prepare(struct steering *steering)
{
	return sync_until(steering, PLAN_DEVICE);
}

int steering_sync(struct steering *steering)
{
	return sync_until(steering, PLAN_LAYERS - 1);
}

/* Lets go of the gateways that add_egress() had the kernel keep resolved. */
static void forget_gateways(struct steering *steering)
{
	const struct plan_list *list = &steering->applied.lists[PLAN_EGRESS];
	const struct plan_route *routes = list->items;
	size_t i;

	for (i = 0; i < list->count; i++)
		if (routes[i].value.has_gateway)
			(void)netlink_neighbour_forget(steering->netlink, routes[i].value.ifindex,
						       routes[i].value.gateway);
}

void steering_clear(struct steering *steering)
{
	const struct plan nothing = {.lists = {{0}}};
	struct removal removal = {.steering = steering, .wanted = &nothing};
	struct snapshot snapshot;

	if (snapshot_take(steering->netlink, &snapshot) < 0)
		return;
	if (adopt(&steering->applied, &snapshot) == 0) {
		(void)plan_difference(&steering->applied, removal.wanted, PLAN_RULE, remove_rule,
				      &removal);
		(void)plan_difference(&steering->applied, removal.wanted, PLAN_ROUTE, remove_route,
				      &removal);
	}
	device_settings_restore(&steering->settings, steering->netlink);
	forget_gateways(steering);
	snapshot_release(&snapshot);
}
