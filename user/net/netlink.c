// SPDX-License-Identifier: Apache-2.0
#include "net/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <string.h>
#include <time.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "lib/util.h"

/* Newer than the headers of the oldest systems that this builds on (Linux 6.0, 6.3). */
#define LINK_TSO_MAX_SIZE      59
#define LINK_GSO_IPV4_MAX_SIZE 63

/* What libmnl recommends for receiving (its MNL_SOCKET_BUFFER_SIZE asks sysconf each time). */
#define RECEIVE_SIZE 32768
#define REQUEST_SIZE 1024

struct netlink {
	struct mnl_socket *socket;
	unsigned int sequence;
};

/* One request under construction. */
union request {
	struct nlmsghdr header;
	char bytes[REQUEST_SIZE];
};

/* A dump's visitor, whatever it visits. */
struct visitor {
	union {
		int (*link)(void *, const struct netlink_link *);
		int (*address)(void *, const struct netlink_address *);
		int (*route)(void *, const struct netlink_route *);
		int (*rule)(void *, const struct netlink_rule *);
	} visit;
	void *context;
	int error;
};

int netlink_open(struct netlink **ret_netlink)
{
	_cleanup_netlink_ struct netlink *netlink = calloc(1, sizeof(*netlink));

	if (!netlink)
		return -ENOMEM;
	netlink->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!netlink->socket || mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	netlink->sequence = (unsigned int)time(NULL);
	*ret_netlink = TAKE_PTR(netlink);
	return 0;
}

void netlink_close(struct netlink *netlink)
{
	if (!netlink)
		return;
	if (netlink->socket)
		(void)mnl_socket_close(netlink->socket);
	free(netlink);
}

/* Sends @header and hands every answer to @callback until the acknowledgement or the dump's end. */
static int netlink_talk(struct netlink *netlink, struct nlmsghdr *header, mnl_cb_t callback,
			void *context)
{
	char buffer[RECEIVE_SIZE] __attribute__((aligned(8)));
	unsigned int port = mnl_socket_get_portid(netlink->socket);
	int status = MNL_CB_OK;

	header->nlmsg_seq = ++netlink->sequence;
	if (mnl_socket_sendto(netlink->socket, header, header->nlmsg_len) < 0)
		return -errno;
	while (status > MNL_CB_STOP) {
		ssize_t size = mnl_socket_recvfrom(netlink->socket, buffer, sizeof(buffer));

		if (size < 0)
			return -errno;
		status = mnl_cb_run(buffer, (size_t)size, header->nlmsg_seq, port, callback,
				    context);
	}
	return status < 0 ? -errno : 0;
}

static int netlink_request(struct netlink *netlink, struct nlmsghdr *header)
{
	header->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	return netlink_talk(netlink, header, NULL, NULL);
}

static int netlink_dump(struct netlink *netlink, uint16_t type, int family, mnl_cb_t callback,
			struct visitor *visitor)
{
	union request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct rtgenmsg *generic;
	int error;

	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	generic = mnl_nlmsg_put_extra_header(header, sizeof(struct rtmsg));
	generic->rtgen_family = (unsigned char)family;
	error = netlink_talk(netlink, header, callback, visitor);
	return visitor->error < 0 ? visitor->error : error;
}

/* What a visitor returned, in libmnl's terms; the rest of the dump is read and not looked at. */
static int visited(struct visitor *visitor, int error)
{
	if (error < 0)
		visitor->error = error;
	return MNL_CB_OK;
}

static size_t address_size(int family)
{
	return family == AF_INET ? 4 : 16;
}

/* False when the attribute is too short for an address of the family. */
static bool attribute_address(const struct nlattr *attribute, int family, uint8_t address[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (mnl_attr_get_payload_len(attribute) < address_size(family))
		return false;
	if (family == AF_INET) {
		memcpy(address, mapped, sizeof(mapped));
		memcpy(address + 12, mnl_attr_get_payload(attribute), 4);
	} else {
		memcpy(address, mnl_attr_get_payload(attribute), 16);
	}
	return true;
}

static void put_address(struct nlmsghdr *header, uint16_t type, const uint8_t address[16])
{
	if (address_is_ipv4(address))
		mnl_attr_put(header, type, 4, address + 12);
	else
		mnl_attr_put(header, type, 16, address);
}

/* The prefix's length as its family counts it; sets *ret_family. */
static uint8_t prefix_bits(const struct prefix *prefix, int *ret_family)
{
	if (address_is_ipv4(prefix->address) && prefix->length >= 96) {
		*ret_family = AF_INET;
		return (uint8_t)(prefix->length - 96);
	}
	*ret_family = AF_INET6;
	return prefix->length;
}

static void prefix_any(struct prefix *prefix, int family)
{
	static const struct prefix any4 = {.address = {[10] = 0xff, [11] = 0xff}, .length = 96};

	*prefix = family == AF_INET ? any4 : (struct prefix) {.length = 0};
}

/* IFLA_AF_SPEC: for IPv4 an array of all settings, in the order of IPV4_DEVCONF_*, from 1. */
static void link_settings(struct netlink_link *link, const struct nlattr *families)
{
	const struct nlattr *family, *nested;

	mnl_attr_for_each_nested (family, families) {
		if (mnl_attr_get_type(family) != AF_INET)
			continue;
		mnl_attr_for_each_nested (nested, family) {
			const uint32_t *values = mnl_attr_get_payload(nested);
			size_t count = mnl_attr_get_payload_len(nested) / sizeof(*values);

			if (mnl_attr_get_type(nested) != IFLA_INET_CONF ||
			    count < IPV4_DEVCONF_ACCEPT_LOCAL)
				continue;
			link->accept_local = values[IPV4_DEVCONF_ACCEPT_LOCAL - 1];
			link->rp_filter = values[IPV4_DEVCONF_RP_FILTER - 1];
		}
	}
}

static int on_link(const struct nlmsghdr *header, void *data)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);
	struct visitor *visitor = data;
	struct netlink_link link = {
		.ifindex = (uint32_t)info->ifi_index,
		.up = info->ifi_flags & IFF_UP,
		.loopback = info->ifi_flags & IFF_LOOPBACK,
		.ethernet = info->ifi_type == ARPHRD_ETHER,
	};
	const struct nlattr *attribute, *nested;

	if (visitor->error < 0)
		return MNL_CB_OK;
	mnl_attr_for_each (attribute, header, sizeof(*info)) {
		switch (mnl_attr_get_type(attribute)) {
		case IFLA_IFNAME:
			strncpy(link.name, mnl_attr_get_str(attribute), sizeof(link.name) - 1);
			break;
		case IFLA_MTU:
			link.mtu = mnl_attr_get_u32(attribute);
			break;
		case IFLA_GSO_MAX_SIZE:
			link.gso.size = mnl_attr_get_u32(attribute);
			break;
		case LINK_GSO_IPV4_MAX_SIZE:
			link.gso.size_ipv4 = mnl_attr_get_u32(attribute);
			break;
		case IFLA_GSO_MAX_SEGS:
			link.gso.segments = mnl_attr_get_u32(attribute);
			break;
		case LINK_TSO_MAX_SIZE:
			link.gso_limit = mnl_attr_get_u32(attribute);
			break;
		case IFLA_AF_SPEC:
			link_settings(&link, attribute);
			break;
		case IFLA_LINKINFO:
			mnl_attr_for_each_nested (nested, attribute) {
				if (mnl_attr_get_type(nested) == IFLA_INFO_KIND)
					link.bridge = strcmp(mnl_attr_get_str(nested), "bridge") ==
						      0;
			}
			break;
		}
	}
	return visited(visitor, visitor->visit.link(visitor->context, &link));
}

int netlink_dump_links(struct netlink *netlink, int (*visit)(void *, const struct netlink_link *),
		       void *context)
{
	struct visitor visitor = {.visit.link = visit, .context = context};

	return netlink_dump(netlink, RTM_GETLINK, AF_UNSPEC, on_link, &visitor);
}

static int on_address(const struct nlmsghdr *header, void *data)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(header);
	struct visitor *visitor = data;
	struct netlink_address address = {
		.ifindex = info->ifa_index,
		.link_local = info->ifa_scope >= RT_SCOPE_LINK,
		.tentative = info->ifa_flags & IFA_F_TENTATIVE,
	};
	const struct nlattr *attribute;
	bool found = false;

	if (visitor->error < 0 || (info->ifa_family != AF_INET && info->ifa_family != AF_INET6))
		return MNL_CB_OK;
	mnl_attr_for_each (attribute, header, sizeof(*info)) {
		/* On a point-to-point link IFA_ADDRESS is the other end's. */
		if (mnl_attr_get_type(attribute) == IFA_LOCAL ||
		    (mnl_attr_get_type(attribute) == IFA_ADDRESS && !found))
			found = attribute_address(attribute, info->ifa_family, address.address);
	}
	if (!found)
		return MNL_CB_OK;
	return visited(visitor, visitor->visit.address(visitor->context, &address));
}

int netlink_dump_addresses(struct netlink *netlink,
			   int (*visit)(void *, const struct netlink_address *), void *context)
{
	struct visitor visitor = {.visit.address = visit, .context = context};

	return netlink_dump(netlink, RTM_GETADDR, AF_UNSPEC, on_address, &visitor);
}

/* The first next hop of a route with several. */
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
			route->has_gateway = attribute_address(nested, family, route->gateway);
		size -= MNL_ALIGN(nested->nla_len);
		nested = mnl_attr_next(nested);
	}
}

static void route_attribute(struct netlink_route *route, const struct rtmsg *info,
			    const struct nlattr *attribute)
{
	switch (mnl_attr_get_type(attribute)) {
	case RTA_DST:
		(void)attribute_address(attribute, info->rtm_family, route->destination.address);
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
		route->has_gateway = attribute_address(attribute, info->rtm_family, route->gateway);
		break;
	case RTA_PREFSRC:
		route->has_source = attribute_address(attribute, info->rtm_family, route->source);
		break;
	case RTA_MULTIPATH:
		route_first_hop(route, info->rtm_family, attribute);
		break;
	}
}

static int on_route(const struct nlmsghdr *header, void *data)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(header);
	struct visitor *visitor = data;
	struct netlink_route route = {
		.table = info->rtm_table,
		.type = info->rtm_type,
		.protocol = info->rtm_protocol,
	};
	const struct nlattr *attribute;

	if (visitor->error < 0 || (info->rtm_flags & RTM_F_CLONED))
		return MNL_CB_OK;
	prefix_any(&route.destination, info->rtm_family);
	route.destination.length = (uint8_t)(route.destination.length + info->rtm_dst_len);
	mnl_attr_for_each (attribute, header, sizeof(*info))
		route_attribute(&route, info, attribute);
	return visited(visitor, visitor->visit.route(visitor->context, &route));
}

int netlink_dump_routes(struct netlink *netlink, int family,
			int (*visit)(void *, const struct netlink_route *), void *context)
{
	struct visitor visitor = {.visit.route = visit, .context = context};

	return netlink_dump(netlink, RTM_GETROUTE, family, on_route, &visitor);
}

static int on_rule(const struct nlmsghdr *header, void *data)
{
	const struct fib_rule_hdr *info = mnl_nlmsg_get_payload(header);
	struct visitor *visitor = data;
	struct netlink_rule rule = {.family = info->family, .table = info->table};
	const struct nlattr *attribute;

	if (visitor->error < 0)
		return MNL_CB_OK;
	mnl_attr_for_each (attribute, header, sizeof(*info)) {
		switch (mnl_attr_get_type(attribute)) {
		case FRA_DST:
			prefix_any(&rule.destination, info->family);
			rule.destination.length =
				(uint8_t)(rule.destination.length + info->dst_len);
			rule.has_destination = attribute_address(attribute, info->family,
								 rule.destination.address);
			break;
		case FRA_PRIORITY:
			rule.priority = mnl_attr_get_u32(attribute);
			break;
		case FRA_TABLE:
			rule.table = mnl_attr_get_u32(attribute);
			break;
		case FRA_IIFNAME:
			strncpy(rule.input_name, mnl_attr_get_str(attribute), IFNAMSIZ - 1);
			break;
		case FRA_OIFNAME:
			strncpy(rule.output_name, mnl_attr_get_str(attribute), IFNAMSIZ - 1);
			break;
		case FRA_FWMARK:
			rule.mark = mnl_attr_get_u32(attribute);
			break;
		case FRA_SUPPRESS_PREFIXLEN:
			rule.suppress_default = mnl_attr_get_u32(attribute) == 0;
			break;
		case FRA_SUPPRESS_IFGROUP:
			rule.suppress_group = mnl_attr_get_u32(attribute);
			break;
		case FRA_PROTOCOL:
			rule.protocol = mnl_attr_get_u8(attribute);
			break;
		}
	}
	return visited(visitor, visitor->visit.rule(visitor->context, &rule));
}

int netlink_dump_rules(struct netlink *netlink, int family,
		       int (*visit)(void *, const struct netlink_rule *), void *context)
{
	struct visitor visitor = {.visit.rule = visit, .context = context};

	return netlink_dump(netlink, RTM_GETRULE, family, on_rule, &visitor);
}

static int route_request(struct netlink *netlink, uint16_t type, uint16_t flags,
			 const struct netlink_route *route)
{
	union request request;
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
		put_address(header, RTA_DST, route->destination.address);
	mnl_attr_put_u32(header, RTA_TABLE, route->table);
	if (route->metric)
		mnl_attr_put_u32(header, RTA_PRIORITY, route->metric);
	if (route->ifindex)
		mnl_attr_put_u32(header, RTA_OIF, route->ifindex);
	if (route->has_gateway)
		put_address(header, RTA_GATEWAY, route->gateway);
	if (route->has_source)
		put_address(header, RTA_PREFSRC, route->source);
	return netlink_request(netlink, header);
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
	union request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct fib_rule_hdr *info;
	int family = rule->family;

	header->nlmsg_type = type;
	header->nlmsg_flags = flags;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->family = (unsigned char)rule->family;
	info->action = FR_ACT_TO_TBL;
	info->table = rule->table < 256 ? (unsigned char)rule->table : RT_TABLE_UNSPEC;
	if (rule->has_destination) {
		info->dst_len = prefix_bits(&rule->destination, &family);
		put_address(header, FRA_DST, rule->destination.address);
	}
	mnl_attr_put_u32(header, FRA_PRIORITY, rule->priority);
	mnl_attr_put_u32(header, FRA_TABLE, rule->table);
	mnl_attr_put_u8(header, FRA_PROTOCOL, rule->protocol);
	if (rule->input_name[0])
		mnl_attr_put_strz(header, FRA_IIFNAME, rule->input_name);
	if (rule->output_name[0])
		mnl_attr_put_strz(header, FRA_OIFNAME, rule->output_name);
	if (rule->mark)
		mnl_attr_put_u32(header, FRA_FWMARK, rule->mark);
	if (rule->suppress_default)
		mnl_attr_put_u32(header, FRA_SUPPRESS_PREFIXLEN, 0);
	if (rule->suppress_group)
		mnl_attr_put_u32(header, FRA_SUPPRESS_IFGROUP, rule->suppress_group);
	return netlink_request(netlink, header);
}

int netlink_rule_add(struct netlink *netlink, const struct netlink_rule *rule)
{
	return rule_request(netlink, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
}

int netlink_rule_delete(struct netlink *netlink, const struct netlink_rule *rule)
{
	return rule_request(netlink, RTM_DELRULE, 0, rule);
}

bool netlink_rule_equal(const struct netlink_rule *a, const struct netlink_rule *b)
{
	return a->family == b->family && a->priority == b->priority && a->table == b->table &&
	       a->has_destination == b->has_destination &&
	       (!a->has_destination || prefix_equal(&a->destination, &b->destination)) &&
	       strcmp(a->input_name, b->input_name) == 0 &&
	       strcmp(a->output_name, b->output_name) == 0 &&
	       a->suppress_default == b->suppress_default &&
	       a->suppress_group == b->suppress_group && a->mark == b->mark &&
	       a->protocol == b->protocol;
}

int netlink_address_add(struct netlink *netlink, uint32_t ifindex, const uint8_t address[16],
			uint8_t length)
{
	union request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct ifaddrmsg *info;

	header->nlmsg_type = RTM_NEWADDR;
	header->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->ifa_family = address_is_ipv4(address) ? AF_INET : AF_INET6;
	info->ifa_prefixlen = length;
	info->ifa_flags = IFA_F_NODAD;
	info->ifa_index = ifindex;
	put_address(header, IFA_LOCAL, address);
	put_address(header, IFA_ADDRESS, address);
	return netlink_request(netlink, header);
}

/* A request that changes a link; attributes may follow. */
static struct nlmsghdr *link_change(union request *request, uint32_t ifindex)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(request);
	struct ifinfomsg *info;

	header->nlmsg_type = RTM_NEWLINK;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->ifi_index = (int)ifindex;
	return header;
}

int netlink_link_up(struct netlink *netlink, uint32_t ifindex, bool no_arp)
{
	union request request;
	struct nlmsghdr *header = link_change(&request, ifindex);
	struct ifinfomsg *info = mnl_nlmsg_get_payload(header);

	info->ifi_flags = IFF_UP | (no_arp ? IFF_NOARP : 0);
	info->ifi_change = info->ifi_flags;
	return netlink_request(netlink, header);
}

int netlink_link_set_mtu(struct netlink *netlink, uint32_t ifindex, uint32_t mtu)
{
	union request request;
	struct nlmsghdr *header = link_change(&request, ifindex);

	mnl_attr_put_u32(header, IFLA_MTU, mtu);
	return netlink_request(netlink, header);
}

int netlink_link_set_group(struct netlink *netlink, uint32_t ifindex, uint32_t group)
{
	union request request;
	struct nlmsghdr *header = link_change(&request, ifindex);

	mnl_attr_put_u32(header, IFLA_GROUP, group);
	return netlink_request(netlink, header);
}

int netlink_link_set_gso(struct netlink *netlink, uint32_t ifindex, const struct netlink_gso *gso)
{
	union request request;
	struct nlmsghdr *header = link_change(&request, ifindex);

	mnl_attr_put_u32(header, IFLA_GSO_MAX_SIZE, gso->size);
	mnl_attr_put_u32(header, LINK_GSO_IPV4_MAX_SIZE, gso->size_ipv4);
	mnl_attr_put_u32(header, IFLA_GSO_MAX_SEGS, gso->segments);
	return netlink_request(netlink, header);
}

int netlink_link_set_ipv4(struct netlink *netlink, uint32_t ifindex, uint32_t accept_local,
			  uint32_t rp_filter)
{
	union request request;
	struct nlmsghdr *header = link_change(&request, ifindex);
	struct nlattr *families, *family, *settings;

	families = mnl_attr_nest_start(header, IFLA_AF_SPEC);
	family = mnl_attr_nest_start(header, AF_INET);
	settings = mnl_attr_nest_start(header, IFLA_INET_CONF);
	mnl_attr_put_u32(header, IPV4_DEVCONF_ACCEPT_LOCAL, accept_local);
	mnl_attr_put_u32(header, IPV4_DEVCONF_RP_FILTER, rp_filter);
	mnl_attr_nest_end(header, settings);
	mnl_attr_nest_end(header, family);
	mnl_attr_nest_end(header, families);
	return netlink_request(netlink, header);
}

int netlink_link_delete(struct netlink *netlink, uint32_t ifindex)
{
	union request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct ifinfomsg *info;

	header->nlmsg_type = RTM_DELLINK;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->ifi_index = (int)ifindex;
	return netlink_request(netlink, header);
}

static int neighbour_request(struct netlink *netlink, uint16_t type, uint32_t ifindex,
			     const uint8_t address[16])
{
	union request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct ndmsg *info;

	header->nlmsg_type = type;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->ndm_family = address_is_ipv4(address) ? AF_INET : AF_INET6;
	info->ndm_ifindex = (int)ifindex;
	put_address(header, NDA_DST, address);
	if (type == RTM_NEWNEIGH) {
		header->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
		info->ndm_flags = NTF_USE;
		mnl_attr_put_u32(header, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	}
	return netlink_request(netlink, header);
}

int netlink_neighbour_keep(struct netlink *netlink, uint32_t ifindex, const uint8_t address[16])
{
	return neighbour_request(netlink, RTM_NEWNEIGH, ifindex, address);
}

int netlink_neighbour_forget(struct netlink *netlink, uint32_t ifindex, const uint8_t address[16])
{
	return neighbour_request(netlink, RTM_DELNEIGH, ifindex, address);
}

int netlink_veth_create(struct netlink *netlink, const char *name, const char *peer_name,
			int peer_netns_fd, uint32_t mtu)
{
	union request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct nlattr *link_info, *data, *peer;

	header->nlmsg_type = RTM_NEWLINK;
	header->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	(void)mnl_nlmsg_put_extra_header(header, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(header, IFLA_IFNAME, name);
	mnl_attr_put_u32(header, IFLA_MTU, mtu);
	link_info = mnl_attr_nest_start(header, IFLA_LINKINFO);
	mnl_attr_put_strz(header, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(header, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(header, VETH_INFO_PEER);
	(void)mnl_nlmsg_put_extra_header(header, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(header, IFLA_IFNAME, peer_name);
	mnl_attr_put_u32(header, IFLA_MTU, mtu);
	mnl_attr_put_u32(header, IFLA_NET_NS_FD, (uint32_t)peer_netns_fd);
	mnl_attr_nest_end(header, peer);
	mnl_attr_nest_end(header, data);
	mnl_attr_nest_end(header, link_info);
	return netlink_request(netlink, header);
}

int netlink_monitor_open(void)
{
	static const int groups[] = {
		RTNLGRP_LINK,	    RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,	 RTNLGRP_IPV6_RULE,
	};
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	_cleanup_close_ int fd = -1;
	size_t i;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	for (i = 0; i < ARRAY_SIZE(groups); i++)
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])) < 0)
			return -errno;
	return TAKE_FD(fd);
}

bool netlink_monitor_drain(int fd)
{
	char buffer[4096];
	bool changed = false;
	int i;

	/* Bounded: whoever floods us with changes gets a resync for every so many of them. */
	for (i = 0; i < 1024; i++) {
		ssize_t size = recv(fd, buffer, sizeof(buffer), MSG_TRUNC);

		if (size < 0 && errno != ENOBUFS)
			break;
		/* ENOBUFS: notices were lost. Whoever asks looks at everything anyway. */
		changed = true;
	}
	return changed;
}
