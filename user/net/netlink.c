// SPDX-License-Identifier: Apache-2.0
#include "net/netlink.h"

#include <errno.h>
#include <string.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "lib/address.h"
#include "lib/netlink_socket.h"
#include "lib/util.h"
#include "net/netlink_private.h"

/* A drain reads at most so many notices. Under a flood, one resync follows for each drain. */
#define DRAIN_MAX 1024

struct netlink {
	struct netlink_socket socket;
};

int netlink_open(struct netlink **ret_netlink)
{
	_cleanup_netlink_ struct netlink *netlink = calloc(1, sizeof(*netlink));
	static const int on = 1;
	int error;

	if (!netlink)
		return -ENOMEM;
	error = netlink_socket_open(&netlink->socket, NETLINK_ROUTE);
	if (error < 0)
		return error;
	/* The kernel refuses a malformed request (Linux 4.20), where it would otherwise guess and
	 * write to its log. */
	(void)mnl_socket_setsockopt(netlink->socket.socket, NETLINK_GET_STRICT_CHK, (void *)&on,
				    sizeof(on));
	*ret_netlink = TAKE_PTR(netlink);
	return 0;
}

void netlink_close(struct netlink *netlink)
{
	if (!netlink)
		return;
	netlink_socket_close(&netlink->socket);
	free(netlink);
}

int netlink_ask(struct netlink *netlink, struct nlmsghdr *header, mnl_cb_t callback, void *context)
{
	return netlink_socket_talk(&netlink->socket, header, callback, context);
}

int netlink_send(struct netlink *netlink, struct nlmsghdr *header)
{
	return netlink_ask(netlink, header, NULL, NULL);
}

/* Returns the size of a dump request's family header, bytes. All of them begin with the family. */
static size_t request_size(uint16_t type)
{
	switch (type) {
	case RTM_GETLINK:
		return sizeof(struct ifinfomsg);
	case RTM_GETADDR:
		return sizeof(struct ifaddrmsg);
	case RTM_GETRULE:
		return sizeof(struct fib_rule_hdr);
	default:
		return sizeof(struct rtmsg);
	}
}

int netlink_dump(struct netlink *netlink, uint16_t type, int family, mnl_cb_t callback,
		 struct netlink_visitor *visitor)
{
	union netlink_request request;
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	struct rtgenmsg *generic;
	int error;

	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_DUMP;
	generic = mnl_nlmsg_put_extra_header(header, request_size(type));
	generic->rtgen_family = (unsigned char)family;
	error = netlink_socket_talk(&netlink->socket, header, callback, visitor);
	return visitor->error < 0 ? visitor->error : error;
}

int netlink_visited(struct netlink_visitor *visitor, int error)
{
	if (error < 0)
		visitor->error = error;
	return MNL_CB_OK;
}

bool netlink_get_address(const struct nlattr *attribute, int family, uint8_t address[16])
{
	if (mnl_attr_get_payload_len(attribute) < (family == AF_INET ? 4 : 16))
		return false;
	address_from_bytes(family, mnl_attr_get_payload(attribute), address);
	return true;
}

void netlink_put_address(struct nlmsghdr *header, uint16_t type, const uint8_t address[16])
{
	if (address_is_ipv4(address))
		mnl_attr_put(header, type, 4, address + 12);
	else
		mnl_attr_put(header, type, 16, address);
}

int netlink_monitor_open(bool routes)
{
	static const int groups[] = {
		RTNLGRP_LINK,	    RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,	 RTNLGRP_IPV6_RULE,
	};
	size_t count = routes ? ARRAY_SIZE(groups) : 3;
	struct sockaddr_nl address = {.nl_family = AF_NETLINK};
	_cleanup_close_ int fd = -1;
	size_t i;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	for (i = 0; i < count; i++)
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

	for (i = 0; i < DRAIN_MAX; i++) {
		ssize_t size = recv(fd, buffer, sizeof(buffer), MSG_TRUNC);

		/* ENOBUFS: notices were lost. The caller dumps everything anyway. */
		if (size < 0 && errno != ENOBUFS)
			break;
		changed = true;
	}
	return changed;
}
