// SPDX-License-Identifier: Apache-2.0
#include "net/netlink_lookup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <linux/rtnetlink.h>

#include "lib/address.h"
#include "net/netlink_private.h"

struct lookup {
	struct netlink_way *way;
	int error; /* the answer's; 0: none */
};

static void read_attribute(struct netlink_way *way, int family, const struct nlattr *attribute)
{
	switch (mnl_attr_get_type(attribute)) {
	case RTA_TABLE:
		way->table = mnl_attr_get_u32(attribute);
		break;
	case RTA_OIF:
		way->ifindex = mnl_attr_get_u32(attribute);
		break;
	case RTA_GATEWAY:
		way->has_gateway = netlink_get_address(attribute, family, way->gateway);
		break;
	case RTA_PREFSRC:
		(void)netlink_get_address(attribute, family, way->source);
		break;
	}
}

static int on_way(const struct nlmsghdr *header, void *data)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(header);
	struct lookup *lookup = data;
	const struct nlattr *attribute;

	lookup->way->type = info->rtm_type;
	lookup->way->table = info->rtm_table;
	mnl_attr_for_each (attribute, header, sizeof(*info))
		read_attribute(lookup->way, info->rtm_family, attribute);
	/* IPv4 answers with an error instead of such a route, and IPv6 with the route. */
	lookup->error = info->rtm_type == RTN_UNREACHABLE ? -EHOSTUNREACH
			: info->rtm_type == RTN_PROHIBIT  ? -EACCES
			: info->rtm_type == RTN_BLACKHOLE ? -EINVAL
							  : 0;
	return MNL_CB_OK;
}

int netlink_lookup(struct netlink *netlink, const struct netlink_packet *packet,
		   struct netlink_way *ret_way)
{
	bool ipv4 = address_is_ipv4(packet->destination);
	struct lookup lookup = {.way = ret_way};
	union netlink_request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct rtmsg *info;
	int error;

	*ret_way = (struct netlink_way) {.type = RTN_UNSPEC};
	if (packet->has_source)
		memcpy(ret_way->source, packet->source, sizeof(ret_way->source));
	header->nlmsg_type = RTM_GETROUTE;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->rtm_family = ipv4 ? AF_INET : AF_INET6;
	info->rtm_dst_len = ipv4 ? 32 : 128;
	info->rtm_src_len = packet->has_source ? info->rtm_dst_len : 0;
	/* IPv6 always tells the table, and refuses the flag. */
	info->rtm_flags = ipv4 ? RTM_F_LOOKUP_TABLE : 0;
	netlink_put_address(header, RTA_DST, packet->destination);
	if (packet->has_source)
		netlink_put_address(header, RTA_SRC, packet->source);
	if (packet->device)
		mnl_attr_put_u32(header, RTA_OIF, packet->device);
	mnl_attr_put_u8(header, RTA_IP_PROTO, packet->ip_protocol);
	mnl_attr_put_u16(header, RTA_DPORT, htons(packet->port));
	error = netlink_ask(netlink, header, on_way, &lookup);
	return error < 0 ? error : lookup.error;
}
