// SPDX-License-Identifier: Apache-2.0
#include "net/netlink.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

#include "lib/address.h"
#include "lib/util.h"
#include "net/netlink_private.h"

/* libmnl's recommendation for receiving. Its MNL_SOCKET_BUFFER_SIZE calls sysconf each time. */
#define RECEIVE_SIZE 32768

/* A drain reads at most so many notices. Under a flood, one resync follows for each drain. */
#define DRAIN_MAX 1024

struct netlink {
	struct mnl_socket *socket;
	unsigned int sequence;
};

int netlink_open(struct netlink **ret_netlink)
{
	_cleanup_netlink_ struct netlink *netlink = calloc(1, sizeof(*netlink));
	static const int on = 1;

	if (!netlink)
		return -ENOMEM;
	netlink->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!netlink->socket || mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	/* The kernel refuses a malformed request (Linux 4.20), where it would otherwise guess and
	 * write to its log. */
	(void)mnl_socket_setsockopt(netlink->socket, NETLINK_GET_STRICT_CHK, (void *)&on,
				    sizeof(on));
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

/*
 * Returns what libmnl does not tell of a dump: -EINTR if it was interrupted, or the error in its
 * last message, or 0. The mark of an interruption is cleared. libmnl would stop there, and the rest
 * of the dump would stand in the way of all further requests.
 */
static int dump_status(char *buffer, ssize_t size)
{
	struct nlmsghdr *header = (struct nlmsghdr *)buffer;
	int left = (int)size, error = 0;

	for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
		if (header->nlmsg_flags & NLM_F_DUMP_INTR)
			error = -EINTR;
		header->nlmsg_flags &= (uint16_t)~NLM_F_DUMP_INTR;
		if (header->nlmsg_type == NLMSG_DONE &&
		    mnl_nlmsg_get_payload_len(header) >= sizeof(int) &&
		    *(const int *)mnl_nlmsg_get_payload(header) < 0)
			error = *(const int *)mnl_nlmsg_get_payload(header);
	}
	return error;
}

/* Sends @header and hands each reply to @callback, up to the acknowledgement or the dump's end. */
static int netlink_talk(struct netlink *netlink, struct nlmsghdr *header, mnl_cb_t callback,
			void *context)
{
	char buffer[RECEIVE_SIZE] __attribute__((aligned(8)));
	unsigned int port = mnl_socket_get_portid(netlink->socket);
	int status = MNL_CB_OK, error, first_error = 0;

	header->nlmsg_seq = ++netlink->sequence;
	if (mnl_socket_sendto(netlink->socket, header, header->nlmsg_len) < 0)
		return -errno;
	while (status > MNL_CB_STOP) {
		ssize_t size = mnl_socket_recvfrom(netlink->socket, buffer, sizeof(buffer));

		if (size < 0)
			return -errno;
		error = dump_status(buffer, size);
		if (first_error == 0)
			first_error = error;
		status = mnl_cb_run(buffer, (size_t)size, header->nlmsg_seq, port, callback,
				    context);
	}
	return status < 0 ? -errno : first_error;
}

int netlink_ask(struct netlink *netlink, struct nlmsghdr *header, mnl_cb_t callback, void *context)
{
	header->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	return netlink_talk(netlink, header, callback, context);
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
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	generic = mnl_nlmsg_put_extra_header(header, request_size(type));
	generic->rtgen_family = (unsigned char)family;
	error = netlink_talk(netlink, header, callback, visitor);
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
