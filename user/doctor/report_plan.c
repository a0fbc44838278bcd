// SPDX-License-Identifier: Apache-2.0
#include "doctor/report_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "lib/escape.h"
#include "lib/log.h"
#include "lib/util.h"
#include "net/instance_lock.h"
#include "programs/programs.h"
#include "steering/inner_devices.h"
#include "steering/plan.h"
#include "steering/plan_inner.h"
#include "steering/plan_routes.h"
#include "steering/snapshot.h"

#define TEXT_MAX 256

/* The application chooses the names of devices, in any bytes. */
static json_t *link_json(const struct netlink_link *link)
{
	char name[4 * sizeof(link->name)];

	return json_pack("{s:i, s:s, s:b, s:i, s:i, s:i, s:i, s:b, s:b, s:b}", "ifindex",
			 (int)link->ifindex, "name", escape_text(name, sizeof(name), link->name),
			 "up", link->up, "mtu", (int)link->mtu, "master", (int)link->master, "peer",
			 (int)link->peer, "peer_nsid", (int)link->peer_nsid, "ethernet",
			 link->ethernet, "veth", link->veth, "bridge", link->bridge);
}

static json_t *address_json(const struct netlink_address *address)
{
	char text[ADDRESS_TEXT_MAX], subnet[ADDRESS_TEXT_MAX];

	return json_pack("{s:i, s:s, s:s}", "ifindex", (int)address->ifindex, "address",
			 address_format(address->address, text), "subnet",
			 prefix_format(&address->subnet, subnet));
}

/* As `ip route` would, in numbers. */
static json_t *route_json(const struct netlink_route *route)
{
	char prefix[ADDRESS_TEXT_MAX], gateway[ADDRESS_TEXT_MAX], text[TEXT_MAX];

	(void)snprintf(
		text, sizeof(text), "%s%s%s table %u dev %u metric %u type %u proto %u mtu %u",
		prefix_format(&route->destination, prefix), route->has_gateway ? " via " : "",
		route->has_gateway ? address_format(route->gateway, gateway) : "", route->table,
		route->ifindex, route->metric, route->type, route->protocol, route->mtu);
	return json_string(text);
}

static json_t *rule_json(const struct netlink_rule *rule)
{
	char from[ADDRESS_TEXT_MAX], to[ADDRESS_TEXT_MAX], text[TEXT_MAX], shown[TEXT_MAX];

	(void)snprintf(text, sizeof(text),
		       "%u: %s%s from %s to %s iif %s oif %s mark %#x/%#x proto %u dport %u. "
		       "Action %u table %u goto %u suppress %u protocol %u",
		       rule->priority, rule->family == AF_INET ? "IPv4" : "IPv6",
		       rule->inverted ? " not" : "",
		       rule->has_source ? prefix_format(&rule->source, from) : "all",
		       rule->has_destination ? prefix_format(&rule->destination, to) : "all",
		       rule->input_name[0] ? rule->input_name : "any",
		       rule->output_name[0] ? rule->output_name : "any", rule->mark,
		       rule->mark_mask, rule->ip_protocol, rule->port, rule->action, rule->table,
		       rule->target, rule->least_bits, rule->protocol);
	return json_string(escape_text(shown, sizeof(shown), text));
}

static json_t *bypass_json(const struct plan_bypass *bypass)
{
	char text[ADDRESS_TEXT_MAX];

	return json_string(prefix_format(&bypass->prefix, text));
}

static json_t *item_json(enum plan_layer layer, const void *item)
{
	return layer == PLAN_ROUTE  ? route_json(item)
	       : layer == PLAN_RULE ? rule_json(item)
				    : bypass_json(item);
}

#define LIST(array, type, format)                                                                  \
	({                                                                                         \
		json_t *list = json_array();                                                       \
		const type *items = (array).items;                                                 \
		size_t index;                                                                      \
		for (index = 0; index < (array).count; index++)                                    \
			(void)json_array_append_new(list, format(&items[index]));                  \
		list;                                                                              \
	})

static json_t *network_json(const struct snapshot *snapshot)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "links",
			 LIST(snapshot->links, struct netlink_link, link_json), "addresses",
			 LIST(snapshot->addresses, struct netlink_address, address_json), "routes",
			 LIST(snapshot->routes, struct netlink_route, route_json), "rules",
			 LIST(snapshot->rules, struct netlink_rule, rule_json), "other_rules",
			 LIST(snapshot->others, struct netlink_rule, rule_json));
}

static json_t *difference_json(enum plan_layer layer, const struct plan *wanted,
			       const struct plan *found)
{
	struct plan_difference missing = plan_added(wanted, found, layer);
	struct plan_difference extra = plan_removed(found, wanted, layer);
	json_t *lists[] = {json_array(), json_array()};
	const void *item;

	while ((item = plan_next(&missing)))
		(void)json_array_append_new(lists[0], item_json(layer, item));
	while ((item = plan_next(&extra)))
		(void)json_array_append_new(lists[1], item_json(layer, item));
	return json_pack("{s:o, s:o}", "missing", lists[0], "extra", lists[1]);
}

/* The prefixes that the maps have from one source, and all of them. */
struct prefixes {
	struct array options, docker; /* struct plan_given */
	struct prefix gateway;
	bool has_gateway, internet_off;
};

static bool has_source(const json_t *entry, const char *wanted)
{
	const json_t *sources = json_object_get(entry, "sources"), *source;
	size_t i;

	json_array_foreach (sources, i, source)
		if (strcmp(json_string_value(source), wanted) == 0)
			return true;
	return false;
}

/* Reads the map's entries, also into the plan of what is found. */
static int read_bypass(const json_t *instance, struct prefixes *prefixes, struct plan *found)
{
	const json_t *entries = json_object_get(instance, "bypass"), *entry;
	struct plan_bypass *item;
	size_t i;

	if (plan_reserve(found, PLAN_BYPASS, json_array_size(entries)) < 0)
		return -ENOMEM;
	json_array_foreach (entries, i, entry) {
		const char *text = json_string_value(json_object_get(entry, "prefix"));
		struct plan_given given = {.option = BYPASS_OPTION_UNKNOWN};

		if (!text || prefix_parse(text, &given.prefix) < 0)
			continue;
		item = plan_append(found, PLAN_BYPASS);
		item->prefix = given.prefix;
		if ((has_source(entry, "option") && array_append(&prefixes->options, &given) < 0) ||
		    (has_source(entry, "docker") && array_append(&prefixes->docker, &given) < 0))
			return -ENOMEM;
		prefixes->internet_off |= has_source(entry, "except dns");
		if (has_source(entry, "gateway")) {
			prefixes->gateway = given.prefix;
			prefixes->has_gateway = true;
		}
	}
	plan_tidy(found, PLAN_BYPASS);
	return 0;
}

/* Without maps the prefixes that a table of ours leads past the proxy stand for the options. */
static int read_throws(const struct snapshot *snapshot, struct prefixes *prefixes)
{
	const struct netlink_route *routes = snapshot->routes.items;
	int error = 0;
	size_t i;

	for (i = 0; i < snapshot->routes.count && error == 0; i++) {
		const struct plan_given given = {.prefix = routes[i].destination};

		if (routes[i].table == PLAN_TABLE_STEER && routes[i].type == RTN_THROW)
			error = array_append(&prefixes->options, &given);
	}
	return error;
}

/* The instance of this namespace, or NULL. */
static const json_t *own_instance(const json_t *status)
{
	const json_t *instance;
	uint32_t netns;
	size_t i;

	if (programs_netns(&netns) < 0)
		return NULL;
	json_array_foreach (status, i, instance)
		if (json_integer_value(json_object_get(instance, "netns")) == netns &&
		    json_is_true(json_object_get(instance, "running")) &&
		    strcmp(json_string_value(json_object_get(instance, "mode")), "sidecar") == 0)
			return instance;
	return NULL;
}

/* The rules tell which mark lets packets out, and whether inner devices are steered. */
static void read_rules(const struct snapshot *snapshot, struct plan_input *input)
{
	const struct netlink_rule *rules = snapshot->rules.items;
	size_t i;

	for (i = 0; i < snapshot->rules.count; i++) {
		if (rules[i].priority == PLAN_RULE_OUT)
			input->out_mark = rules[i].mark;
		input->inner |= rules[i].priority == PLAN_RULE_INNER;
	}
}

/* The values of bypassed prefixes are not compared, as the map's are not all known here. */
static void forget_values(struct plan *plan)
{
	struct plan_bypass *items = plan->lists[PLAN_BYPASS].items;
	size_t i;

	for (i = 0; i < plan->lists[PLAN_BYPASS].count; i++)
		items[i].value = (struct sidestep_bypass) {0};
}

static int compare(const struct snapshot *snapshot, const json_t *instance, json_t *result)
{
	struct prefixes prefixes = {.options.size = sizeof(struct plan_given),
				    .docker.size = sizeof(struct plan_given)};
	struct plan_input input = snapshot_input(snapshot);
	struct inner_devices devices = {.looked = false};
	struct plan wanted = {0}, found = {0};
	int error = snapshot_adopt(snapshot, &found);

	if (error == 0)
		error = instance ? read_bypass(instance, &prefixes, &found)
				 : read_throws(snapshot, &prefixes);
	input.mode = SIDESTEP_MODE_SIDECAR;
	input.options = prefixes.options.items;
	input.option_count = prefixes.options.count;
	input.docker = prefixes.docker.items;
	input.docker_count = prefixes.docker.count;
	input.internet_off = prefixes.internet_off;
	input.gateway = prefixes.has_gateway ? &prefixes.gateway : NULL;
	read_rules(snapshot, &input);
	inner_devices_look(&devices, &input);
	if (error == 0)
		error = plan_make(&input, &wanted);
	if (error == 0) {
		forget_values(&wanted);
		(void)json_object_set_new(result, "routes",
					  difference_json(PLAN_ROUTE, &wanted, &found));
		(void)json_object_set_new(result, "rules",
					  difference_json(PLAN_RULE, &wanted, &found));
		if (instance)
			(void)json_object_set_new(result, "bypass",
						  difference_json(PLAN_BYPASS, &wanted, &found));
	}
	plan_release(&wanted);
	plan_release(&found);
	inner_devices_release(&devices);
	free(prefixes.options.items);
	free(prefixes.docker.items);
	return error;
}

json_t *report_plan(const json_t *status)
{
	bool runs = instance_holder() >= 0;
	struct netlink *netlink;
	struct snapshot snapshot;
	json_t *result = NULL;
	int error = netlink_open(&netlink);

	if (error < 0) {
		(void)log_errno(error, "cannot open a netlink socket");
		return NULL;
	}
	error = snapshot_take(netlink, &snapshot);
	netlink_close(netlink);
	if (error < 0)
		return NULL;
	result = json_pack("{s:o, s:b}", "network", network_json(&snapshot), "compared", runs);
	if (result && runs && compare(&snapshot, own_instance(status), result) < 0)
		(void)json_object_set_new(result, "compared", json_false());
	snapshot_release(&snapshot);
	return result;
}
