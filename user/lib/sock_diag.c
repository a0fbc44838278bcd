// SPDX-License-Identifier: Apache-2.0
#include "lib/sock_diag.h"

#include <string.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

/* Larger than any request, header included. */
#define REQUEST_SIZE 256

int sock_diag_open(struct netlink_socket *diag)
{
	return netlink_socket_open(diag, NETLINK_SOCK_DIAG);
}

struct inet_diag_req_v2 sock_diag_request(int family, int protocol, uint32_t states)
{
	return (struct inet_diag_req_v2) {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = (uint8_t)protocol,
		.idiag_states = states,
		.id.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE},
	};
}

void sock_diag_put_end(const struct sockaddr *end, __be32 address[4], __be16 *port)
{
	const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)end;
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)end;

	if (end->sa_family == AF_INET)
		memcpy(address, &ipv4->sin_addr, sizeof(ipv4->sin_addr));
	else
		memcpy(address, &ipv6->sin6_addr, sizeof(ipv6->sin6_addr));
	*port = end->sa_family == AF_INET ? ipv4->sin_port : ipv6->sin6_port;
}

static int talk(struct netlink_socket *diag, uint16_t type, uint16_t flags, const void *request,
		size_t size, mnl_cb_t callback, void *context)
{
	char buffer[REQUEST_SIZE] __attribute__((aligned(8)));
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);

	header->nlmsg_type = type;
	header->nlmsg_flags = flags;
	memcpy(mnl_nlmsg_put_extra_header(header, size), request, size);
	return netlink_socket_talk(diag, header, callback, context);
}

int sock_diag_one(struct netlink_socket *diag, uint16_t type,
		  const struct inet_diag_req_v2 *request, mnl_cb_t callback, void *context)
{
	return talk(diag, type, 0, request, sizeof(*request), callback, context);
}

int sock_diag_dump(const void *request, size_t size, mnl_cb_t callback, void *context)
{
	_cleanup_netlink_socket_ struct netlink_socket diag = {.socket = NULL};
	int error = sock_diag_open(&diag);

	return error < 0 ? error
			 : talk(&diag, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, request, size, callback,
				context);
}
