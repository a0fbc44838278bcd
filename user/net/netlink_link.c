// SPDX-License-Identifier: Apache-2.0
#include "net/netlink_link.h"

#include <errno.h>
#include <string.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "lib/address.h"
#include "net/netlink_private.h"

/* The oldest supported system's headers lack these (Linux 6.0, 6.3). */
#define LINK_TSO_MAX_SIZE      59
#define LINK_GSO_IPV4_MAX_SIZE 63

/* Likewise (Linux 5.18): who made an address, and the value for router advertisements. */
#define ADDRESS_PROTOCOL    11
#define ADDRESS_PROTOCOL_RA 2

/* Reads IFLA_AF_SPEC. IPv4 has an array of all settings in the order of IPV4_DEVCONF_*, from 1. */
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

/* Reads IFLA_LINKINFO. */
static void link_kind(struct netlink_link *link, const struct nlattr *information)
{
	const struct nlattr *nested;

	mnl_attr_for_each_nested (nested, information) {
		const char *kind = mnl_attr_get_str(nested);

		if (mnl_attr_get_type(nested) != IFLA_INFO_KIND)
			continue;
		link->bridge = strcmp(kind, "bridge") == 0;
		link->veth = strcmp(kind, "veth") == 0;
		link->tun = strcmp(kind, "tun") == 0;
		link->software = true;
		link->guest = link->veth || link->tun || strcmp(kind, "dummy") == 0;
	}
}

bool netlink_type_is_l3(unsigned int type)
{
	switch (type) {
	case ARPHRD_NONE: /* tun, WireGuard, xfrm */
	case ARPHRD_PPP:
	case ARPHRD_RAWIP: /* modems */
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
		return true;
	}
	return false;
}

static int on_link(const struct nlmsghdr *header, void *data)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);
	struct netlink_visitor *visitor = data;
	struct netlink_link link = {
		.ifindex = (uint32_t)info->ifi_index,
		.up = info->ifi_flags & IFF_UP,
		.loopback = info->ifi_flags & IFF_LOOPBACK,
		.ethernet = info->ifi_type == ARPHRD_ETHER,
		.l3 = netlink_type_is_l3(info->ifi_type),
		.peer_nsid = -1,
	};
	const struct nlattr *attribute;

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
			link_kind(&link, attribute);
			break;
		case IFLA_MASTER:
			link.master = mnl_attr_get_u32(attribute);
			break;
		case IFLA_LINK:
			link.peer = mnl_attr_get_u32(attribute);
			break;
		case IFLA_LINK_NETNSID:
			link.peer_nsid = (int32_t)mnl_attr_get_u32(attribute);
			break;
		}
	}
	return netlink_visited(visitor, visitor->visit.link(visitor->context, &link));
}

int netlink_dump_links(struct netlink *netlink, int (*visit)(void *, const struct netlink_link *),
		       void *context)
{
	struct netlink_visitor visitor = {.visit.link = visit, .context = context};

	return netlink_dump(netlink, RTM_GETLINK, AF_UNSPEC, on_link, &visitor);
}

/* The monitor is read so often at once. The rest keeps it readable. */
#define NOTICES_MAX 1024

struct notices {
	struct netlink_visitor visitor;
	void (*gone)(void *context, uint32_t ifindex);
};

static int on_notice(const struct nlmsghdr *header, void *data)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);
	struct notices *notices = data;

	/* A bridge tells of its ports in messages of its own, without the kind of the device. */
	if (mnl_nlmsg_get_payload_len(header) < sizeof(*info) || info->ifi_family != AF_UNSPEC)
		return MNL_CB_OK;
	if (header->nlmsg_type == RTM_NEWLINK)
		return on_link(header, &notices->visitor);
	if (header->nlmsg_type == RTM_DELLINK)
		notices->gone(notices->visitor.context, (uint32_t)info->ifi_index);
	return MNL_CB_OK;
}

int netlink_monitor_links(int fd, int (*changed)(void *, const struct netlink_link *),
			  void (*gone)(void *, uint32_t ifindex), void *context)
{
	struct notices notices = {
		.visitor = {.visit.link = changed, .context = context},
		.gone = gone,
	};
	char buffer[16384];
	bool lost = false;
	int i;

	for (i = 0; i < NOTICES_MAX; i++) {
		ssize_t size = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT | MSG_TRUNC);

		if (size < 0 && errno != ENOBUFS && errno != EINTR)
			break;
		if (size < 0 || (size_t)size > sizeof(buffer))
			lost |= size >= 0 || errno == ENOBUFS;
		else
			(void)mnl_cb_run(buffer, (size_t)size, 0, 0, on_notice, &notices);
	}
	return lost ? -ENOBUFS : notices.visitor.error;
}

static void address_attribute(struct netlink_address *address, const struct ifaddrmsg *info,
			      const struct nlattr *attribute, bool *found)
{
	switch (mnl_attr_get_type(attribute)) {
	case IFA_ADDRESS:
		/* On a point-to-point link it is the peer's address, and IFA_LOCAL has ours. */
		if (!netlink_get_address(attribute, info->ifa_family, address->subnet.address))
			return;
		if (!*found)
			memcpy(address->address, address->subnet.address, sizeof(address->address));
		*found = true;
		break;
	case IFA_LOCAL:
		*found = netlink_get_address(attribute, info->ifa_family, address->address);
		break;
	case ADDRESS_PROTOCOL:
		if (mnl_attr_get_u8(attribute) == ADDRESS_PROTOCOL_RA)
			address->configured = false;
		break;
	}
}

static int on_address(const struct nlmsghdr *header, void *data)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(header);
	struct netlink_visitor *visitor = data;
	struct netlink_address address = {
		.ifindex = info->ifa_index,
		.subnet = prefix_default(info->ifa_family),
		.link_local = info->ifa_scope >= RT_SCOPE_LINK,
		.tentative = info->ifa_flags & IFA_F_TENTATIVE,
		.configured = info->ifa_family == AF_INET || (info->ifa_flags & IFA_F_PERMANENT),
	};
	const struct nlattr *attribute;
	bool found = false;

	if (visitor->error < 0 || (info->ifa_family != AF_INET && info->ifa_family != AF_INET6))
		return MNL_CB_OK;
	address.subnet.length = (uint8_t)(address.subnet.length + info->ifa_prefixlen);
	mnl_attr_for_each (attribute, header, sizeof(*info))
		address_attribute(&address, info, attribute, &found);
	if (!found)
		return MNL_CB_OK;
	return netlink_visited(visitor, visitor->visit.address(visitor->context, &address));
}

int netlink_dump_addresses(struct netlink *netlink,
			   int (*visit)(void *, const struct netlink_address *), void *context)
{
	struct netlink_visitor visitor = {.visit.address = visit, .context = context};

	return netlink_dump(netlink, RTM_GETADDR, AF_UNSPEC, on_address, &visitor);
}

int netlink_address_add(struct netlink *netlink, uint32_t ifindex, const uint8_t address[16],
			uint8_t length)
{
	union netlink_request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct ifaddrmsg *info;

	header->nlmsg_type = RTM_NEWADDR;
	header->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->ifa_family = address_is_ipv4(address) ? AF_INET : AF_INET6;
	info->ifa_prefixlen = length;
	info->ifa_flags = IFA_F_NODAD;
	info->ifa_index = ifindex;
	netlink_put_address(header, IFA_LOCAL, address);
	netlink_put_address(header, IFA_ADDRESS, address);
	return netlink_send(netlink, header);
}

/* Starts a request that changes a link. The caller may append attributes. */
static struct nlmsghdr *link_change(union netlink_request *request, uint32_t ifindex)
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
	union netlink_request request;
	struct nlmsghdr *header = link_change(&request, ifindex);
	struct ifinfomsg *info = mnl_nlmsg_get_payload(header);

	info->ifi_flags = IFF_UP | (no_arp ? IFF_NOARP : 0);
	info->ifi_change = info->ifi_flags;
	return netlink_send(netlink, header);
}

int netlink_link_set_gso(struct netlink *netlink, uint32_t ifindex, const struct netlink_gso *gso)
{
	union netlink_request request;
	struct nlmsghdr *header = link_change(&request, ifindex);

	mnl_attr_put_u32(header, IFLA_GSO_MAX_SIZE, gso->size);
	mnl_attr_put_u32(header, LINK_GSO_IPV4_MAX_SIZE, gso->size_ipv4);
	mnl_attr_put_u32(header, IFLA_GSO_MAX_SEGS, gso->segments);
	return netlink_send(netlink, header);
}

int netlink_link_set_ipv4(struct netlink *netlink, uint32_t ifindex, uint32_t accept_local,
			  uint32_t rp_filter)
{
	union netlink_request request;
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
	return netlink_send(netlink, header);
}

int netlink_link_keep_quiet6(struct netlink *netlink, uint32_t ifindex)
{
	union netlink_request request;
	struct nlmsghdr *header = link_change(&request, ifindex);
	struct nlattr *families, *family;

	families = mnl_attr_nest_start(header, IFLA_AF_SPEC);
	family = mnl_attr_nest_start(header, AF_INET6);
	mnl_attr_put_u8(header, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(header, family);
	mnl_attr_nest_end(header, families);
	return netlink_send(netlink, header);
}

int netlink_link_delete(struct netlink *netlink, uint32_t ifindex)
{
	union netlink_request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct ifinfomsg *info;

	header->nlmsg_type = RTM_DELLINK;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->ifi_index = (int)ifindex;
	return netlink_send(netlink, header);
}

/* Starts a request about a neighbour. The caller may append attributes. */
static struct nlmsghdr *neighbour_message(union netlink_request *request, uint16_t type,
					  uint32_t ifindex, const uint8_t address[16])
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(request);
	struct ndmsg *info;

	header->nlmsg_type = type;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->ndm_family = address_is_ipv4(address) ? AF_INET : AF_INET6;
	info->ndm_ifindex = (int)ifindex;
	netlink_put_address(header, NDA_DST, address);
	return header;
}

int netlink_neighbour_keep(struct netlink *netlink, uint32_t ifindex, const uint8_t address[16])
{
	union netlink_request request;
	struct nlmsghdr *header = neighbour_message(&request, RTM_NEWNEIGH, ifindex, address);
	struct ndmsg *info = mnl_nlmsg_get_payload(header);

	header->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	info->ndm_flags = NTF_USE;
	mnl_attr_put_u32(header, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	return netlink_send(netlink, header);
}

int netlink_neighbour_forget(struct netlink *netlink, uint32_t ifindex, const uint8_t address[16])
{
	union netlink_request request;

	return netlink_send(netlink, neighbour_message(&request, RTM_DELNEIGH, ifindex, address));
}

struct mac {
	uint8_t bytes[6];
	bool known;
};

static int on_neighbour(const struct nlmsghdr *header, void *data)
{
	const struct nlattr *attribute;
	struct mac *mac = data;

	mnl_attr_for_each (attribute, header, sizeof(struct ndmsg)) {
		if (mnl_attr_get_type(attribute) != NDA_LLADDR ||
		    mnl_attr_get_payload_len(attribute) != sizeof(mac->bytes))
			continue;
		memcpy(mac->bytes, mnl_attr_get_payload(attribute), sizeof(mac->bytes));
		mac->known = true;
	}
	return MNL_CB_OK;
}

int netlink_neighbour_get(struct netlink *netlink, uint32_t ifindex, const uint8_t address[16],
			  uint8_t ret_mac[6])
{
	union netlink_request request;
	struct nlmsghdr *header = neighbour_message(&request, RTM_GETNEIGH, ifindex, address);
	struct mac mac = {.known = false};
	int error = netlink_ask(netlink, header, on_neighbour, &mac);

	if (error == 0 && mac.known)
		memcpy(ret_mac, mac.bytes, sizeof(mac.bytes));
	return error < 0 ? error : mac.known ? 0 : -ENOENT;
}

static int on_nsid(const struct nlmsghdr *header, void *data)
{
	const struct nlattr *attribute;

	mnl_attr_for_each (attribute, header, NLMSG_ALIGN(sizeof(struct rtgenmsg))) {
		if (mnl_attr_get_type(attribute) == NETNSA_NSID)
			*(int32_t *)data = (int32_t)mnl_attr_get_u32(attribute);
	}
	return MNL_CB_OK;
}

int netlink_nsid(struct netlink *netlink, int netns_fd)
{
	union netlink_request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	int32_t nsid = NETNSA_NSID_NOT_ASSIGNED;
	int error;

	header->nlmsg_type = RTM_GETNSID;
	(void)mnl_nlmsg_put_extra_header(header, sizeof(struct rtgenmsg));
	mnl_attr_put_u32(header, NETNSA_FD, (uint32_t)netns_fd);
	error = netlink_ask(netlink, header, on_nsid, &nsid);
	return error < 0 ? error : nsid < 0 ? -ENOENT : nsid;
}

int netlink_veth_create(struct netlink *netlink, const char *name, const char *peer_name,
			int peer_netns_fd, uint32_t mtu)
{
	union netlink_request request;
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
	return netlink_send(netlink, header);
}
