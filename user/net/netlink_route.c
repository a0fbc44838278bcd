// SPDX-License-Identifier: Apache-2.0
#include "net/netlink_route.h"

#include <string.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "net/netlink_private.h"

/* Returns the prefix length as its family counts it, and sets *ret_family. */
static uint8_t prefix_bits(const struct prefix *prefix, int *ret_family)
{
	if (address_is_ipv4(prefix->address) && prefix->length >= 96) {
		*ret_family = AF_INET;
		return (uint8_t)(prefix->length - 96);
	}
	*ret_family = AF_INET6;
	return prefix->length;
}

/* Reads the first next hop of a route with several. */
static void route_first_hop(struct netlink_route *route, int family, const struct nlattr *attribute)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(attribute);
	const struct nlattr *nested;
	int size;

	if (mnl_attr_get_payload_len(attribute) < sizeof(*hop) || hop->rtnh_len < sizeof(*hop))
		return;
	route->ifindex = (uint32_t)hop->rtnh_ifindex;
	nested = (const struct nlattr *)RTNH_DATA(hop);
	size = (int)(hop->rtnh_len - sizeof(*hop));
	while (mnl_attr_ok(nested, size)) {
		if (mnl_attr_get_type(nested) == RTA_GATEWAY)
			route->has_gateway = netlink_get_address(nested, family, route->gateway);
		size -= MNL_ALIGN(nested->nla_len);
		nested = mnl_attr_next(nested);
	}
}

static uint32_t route_mtu(const struct nlattr *metrics)
{
	const struct nlattr *metric;

	mnl_attr_for_each_nested (metric, metrics)
		if (mnl_attr_get_type(metric) == RTAX_MTU)
			return mnl_attr_get_u32(metric);
	return 0;
}

static void route_attribute(struct netlink_route *route, const struct rtmsg *info,
			    const struct nlattr *attribute)
{
	switch (mnl_attr_get_type(attribute)) {
	case RTA_DST:
		(void)netlink_get_address(attribute, info->rtm_family, route->destination.address);
		break;
	case RTA_TABLE:
		route->table = mnl_attr_get_u32(attribute);
		break;
	case RTA_PRIORITY:
		route->metric = mnl_attr_get_u32(attribute);
		break;
	case RTA_OIF:
		route->ifindex = mnl_attr_get_u32(attribute);
		break;
	case RTA_GATEWAY:
		route->has_gateway = netlink_get_address(attribute, info->rtm_family,
							 route->gateway);
		break;
	case RTA_PREFSRC:
		route->has_source = netlink_get_address(attribute, info->rtm_family, route->source);
		break;
	case RTA_METRICS:
		route->mtu = route_mtu(attribute);
		break;
	case RTA_MULTIPATH:
		route_first_hop(route, info->rtm_family, attribute);
		break;
	}
}

static int on_route(const struct nlmsghdr *header, void *data)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(header);
	struct netlink_visitor *visitor = data;
	struct netlink_route route = {
		.table = info->rtm_table,
		.type = info->rtm_type,
		.protocol = info->rtm_protocol,
	};
	const struct nlattr *attribute;

	if (visitor->error < 0 || (info->rtm_flags & RTM_F_CLONED))
		return MNL_CB_OK;
	route.destination = prefix_default(info->rtm_family);
	route.destination.length = (uint8_t)(route.destination.length + info->rtm_dst_len);
	mnl_attr_for_each (attribute, header, sizeof(*info))
		route_attribute(&route, info, attribute);
	return netlink_visited(visitor, visitor->visit.route(visitor->context, &route));
}

int netlink_dump_routes(struct netlink *netlink, int family,
			int (*visit)(void *, const struct netlink_route *), void *context)
{
	struct netlink_visitor visitor = {.visit.route = visit, .context = context};

	return netlink_dump(netlink, RTM_GETROUTE, family, on_route, &visitor);
}

static bool rule_prefix(const struct fib_rule_hdr *info, const struct nlattr *attribute,
			uint8_t bits, struct prefix *ret_prefix)
{
	*ret_prefix = prefix_default(info->family);
	ret_prefix->length = (uint8_t)(ret_prefix->length + bits);
	return netlink_get_address(attribute, info->family, ret_prefix->address);
}

/* Returns the only port of a range, or 0. */
static uint16_t rule_port(const struct nlattr *attribute)
{
	const struct fib_rule_port_range *range = mnl_attr_get_payload(attribute);

	return mnl_attr_get_payload_len(attribute) >= sizeof(*range) && range->start == range->end
		       ? range->start
		       : 0;
}

static void rule_attribute(struct netlink_rule *rule, const struct fib_rule_hdr *info,
			   const struct nlattr *attribute)
{
	switch (mnl_attr_get_type(attribute)) {
	case FRA_SRC:
		rule->has_source = rule_prefix(info, attribute, info->src_len, &rule->source);
		break;
	case FRA_DST:
		rule->has_destination = rule_prefix(info, attribute, info->dst_len,
						    &rule->destination);
		break;
	case FRA_PRIORITY:
		rule->priority = mnl_attr_get_u32(attribute);
		break;
	case FRA_TABLE:
		rule->table = mnl_attr_get_u32(attribute);
		break;
	case FRA_GOTO:
		rule->target = mnl_attr_get_u32(attribute);
		break;
	case FRA_IIFNAME:
		strncpy(rule->input_name, mnl_attr_get_str(attribute), IFNAMSIZ - 1);
		break;
	case FRA_OIFNAME:
		strncpy(rule->output_name, mnl_attr_get_str(attribute), IFNAMSIZ - 1);
		break;
	case FRA_FWMARK:
		rule->mark = mnl_attr_get_u32(attribute);
		break;
	case FRA_FWMASK:
		rule->mark_mask = mnl_attr_get_u32(attribute);
		break;
	case FRA_DPORT_RANGE:
		rule->port = rule_port(attribute);
		rule->special |= rule->port == 0;
		break;
	case FRA_SUPPRESS_PREFIXLEN:
		rule->least_bits = mnl_attr_get_u32(attribute) + 1;
		break;
	case FRA_IP_PROTO:
		rule->ip_protocol = mnl_attr_get_u8(attribute);
		break;
	case FRA_PROTOCOL:
		rule->protocol = mnl_attr_get_u8(attribute);
		break;
	case FRA_SUPPRESS_IFGROUP:
	case FRA_UID_RANGE:
	case FRA_SPORT_RANGE:
	case FRA_TUN_ID:
		rule->special = true;
		break;
	case FRA_L3MDEV:
		rule->special |= mnl_attr_get_u8(attribute) != 0;
		break;
	}
}

static int on_rule(const struct nlmsghdr *header, void *data)
{
	const struct fib_rule_hdr *info = mnl_nlmsg_get_payload(header);
	struct netlink_visitor *visitor = data;
	struct netlink_rule rule = {
		.family = info->family,
		.action = info->action,
		.table = info->table,
		.inverted = info->flags & FIB_RULE_INVERT,
		.special = info->tos != 0,
	};
	const struct nlattr *attribute;

	if (visitor->error < 0)
		return MNL_CB_OK;
	mnl_attr_for_each (attribute, header, sizeof(*info))
		rule_attribute(&rule, info, attribute);
	return netlink_visited(visitor, visitor->visit.rule(visitor->context, &rule));
}

int netlink_dump_rules(struct netlink *netlink, int family,
		       int (*visit)(void *, const struct netlink_rule *), void *context)
{
	struct netlink_visitor visitor = {.visit.rule = visit, .context = context};

	return netlink_dump(netlink, RTM_GETRULE, family, on_rule, &visitor);
}

static int route_request(struct netlink *netlink, uint16_t type, uint16_t flags,
			 const struct netlink_route *route)
{
	union netlink_request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct rtmsg *info;
	int family;

	header->nlmsg_type = type;
	header->nlmsg_flags = flags;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->rtm_dst_len = prefix_bits(&route->destination, &family);
	info->rtm_family = (unsigned char)family;
	info->rtm_table = route->table < 256 ? (unsigned char)route->table : RT_TABLE_UNSPEC;
	info->rtm_protocol = route->protocol;
	info->rtm_type = route->type;
	info->rtm_scope = route->type == RTN_LOCAL     ? RT_SCOPE_HOST
			  : route->has_gateway	       ? RT_SCOPE_UNIVERSE
			  : route->type == RTN_UNICAST ? RT_SCOPE_LINK
						       : RT_SCOPE_UNIVERSE;
	if (info->rtm_dst_len)
		netlink_put_address(header, RTA_DST, route->destination.address);
	mnl_attr_put_u32(header, RTA_TABLE, route->table);
	if (route->metric)
		mnl_attr_put_u32(header, RTA_PRIORITY, route->metric);
	if (route->ifindex)
		mnl_attr_put_u32(header, RTA_OIF, route->ifindex);
	if (route->has_gateway)
		netlink_put_address(header, RTA_GATEWAY, route->gateway);
	if (route->has_source)
		netlink_put_address(header, RTA_PREFSRC, route->source);
	if (route->mtu) {
		struct nlattr *metrics = mnl_attr_nest_start(header, RTA_METRICS);

		mnl_attr_put_u32(header, RTAX_MTU, route->mtu);
		mnl_attr_nest_end(header, metrics);
	}
	return netlink_send(netlink, header);
}

int netlink_route_replace(struct netlink *netlink, const struct netlink_route *route)
{
	return route_request(netlink, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route);
}

int netlink_route_delete(struct netlink *netlink, const struct netlink_route *route)
{
	return route_request(netlink, RTM_DELROUTE, 0, route);
}

static int rule_request(struct netlink *netlink, uint16_t type, uint16_t flags,
			const struct netlink_rule *rule)
{
	union netlink_request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct fib_rule_hdr *info;
	int family = rule->family;

	header->nlmsg_type = type;
	header->nlmsg_flags = flags;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->family = (unsigned char)rule->family;
	info->action = rule->action;
	info->table = rule->table < 256 ? (unsigned char)rule->table : RT_TABLE_UNSPEC;
	if (rule->has_destination) {
		info->dst_len = prefix_bits(&rule->destination, &family);
		netlink_put_address(header, FRA_DST, rule->destination.address);
	}
	mnl_attr_put_u32(header, FRA_PRIORITY, rule->priority);
	if (rule->action == FR_ACT_TO_TBL)
		mnl_attr_put_u32(header, FRA_TABLE, rule->table);
	if (rule->action == FR_ACT_GOTO)
		mnl_attr_put_u32(header, FRA_GOTO, rule->target);
	mnl_attr_put_u8(header, FRA_PROTOCOL, rule->protocol);
	if (rule->input_name[0])
		mnl_attr_put_strz(header, FRA_IIFNAME, rule->input_name);
	if (rule->output_name[0])
		mnl_attr_put_strz(header, FRA_OIFNAME, rule->output_name);
	if (rule->mark)
		mnl_attr_put_u32(header, FRA_FWMARK, rule->mark);
	if (rule->ip_protocol)
		mnl_attr_put_u8(header, FRA_IP_PROTO, rule->ip_protocol);
	if (rule->port) {
		const struct fib_rule_port_range ports = {rule->port, rule->port};

		mnl_attr_put(header, FRA_DPORT_RANGE, sizeof(ports), &ports);
	}
	if (rule->least_bits)
		mnl_attr_put_u32(header, FRA_SUPPRESS_PREFIXLEN, rule->least_bits - 1);
	return netlink_send(netlink, header);
}

int netlink_rule_add(struct netlink *netlink, const struct netlink_rule *rule)
{
	return rule_request(netlink, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
}

int netlink_rule_delete(struct netlink *netlink, const struct netlink_rule *rule)
{
	return rule_request(netlink, RTM_DELRULE, 0, rule);
}
