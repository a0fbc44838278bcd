// SPDX-License-Identifier: Apache-2.0
#include "net/socket_owner.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

struct found {
	struct socket_owner owner;
	int state;
};

int socket_owners_open(struct socket_owners *owners)
{
	(void)pthread_mutex_init(&owners->lock, NULL);
	owners->diag = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!owners->diag || mnl_socket_bind(owners->diag, 0, MNL_SOCKET_AUTOPID) < 0) {
		int error = -errno;

		socket_owners_close(owners);
		return error;
	}
	return 0;
}

void socket_owners_close(struct socket_owners *owners)
{
	if (owners->diag)
		(void)mnl_socket_close(owners->diag);
	owners->diag = NULL;
}

static int on_attribute(const struct nlattr *attribute, void *data)
{
	struct found *found = data;

	if (mnl_attr_get_type(attribute) == INET_DIAG_CGROUP_ID &&
	    mnl_attr_validate(attribute, MNL_TYPE_U64) >= 0)
		found->owner.cgroup = mnl_attr_get_u64(attribute);
	return MNL_CB_OK;
}

static int on_socket(const struct nlmsghdr *header, void *data)
{
	const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
	struct found *found = data;

	found->state = message->idiag_state;
	found->owner.uid = message->idiag_uid;
	return mnl_attr_parse(header, sizeof(*message), on_attribute, data);
}

static void put_end(const struct sockaddr *end, __be32 address[4], __be16 *port)
{
	const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)end;
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)end;

	if (end->sa_family == AF_INET)
		memcpy(address, &ipv4->sin_addr, sizeof(ipv4->sin_addr));
	else
		memcpy(address, &ipv6->sin6_addr, sizeof(ipv6->sin6_addr));
	*port = end->sa_family == AF_INET ? ipv4->sin_port : ipv6->sin6_port;
}

static int ask(struct socket_owners *owners, const struct sockaddr *local,
	       const struct sockaddr *remote, struct found *ret_found)
{
	char buffer[4096] __attribute__((aligned(8)));
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *request;
	ssize_t size;

	header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	header->nlmsg_flags = NLM_F_REQUEST;
	header->nlmsg_seq = ++owners->sequence;
	request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	request->sdiag_family = (uint8_t)local->sa_family;
	request->sdiag_protocol = IPPROTO_TCP;
	request->idiag_states = UINT32_MAX;
	put_end(local, request->id.idiag_src, &request->id.idiag_sport);
	put_end(remote, request->id.idiag_dst, &request->id.idiag_dport);
	request->id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	request->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (mnl_socket_sendto(owners->diag, header, header->nlmsg_len) < 0)
		return -errno;
	size = mnl_socket_recvfrom(owners->diag, buffer, sizeof(buffer));
	if (size < 0 || mnl_cb_run(buffer, (size_t)size, owners->sequence,
				   mnl_socket_get_portid(owners->diag), on_socket, ret_found) < 0)
		return -errno;
	return 0;
}

int socket_owners_find(struct socket_owners *owners, const struct sockaddr *local,
		       const struct sockaddr *remote, struct socket_owner *ret_owner)
{
	struct found found = {.state = 0};
	int error;

	(void)pthread_mutex_lock(&owners->lock);
	error = ask(owners, local, remote, &found);
	(void)pthread_mutex_unlock(&owners->lock);
	if (error < 0)
		return error;
	/* inet_diag falls back to a listener at the local end, and a connection in TIME_WAIT is
	 * reported without an owner. */
	if (found.state != TCP_ESTABLISHED && found.state != TCP_CLOSE_WAIT &&
	    found.state != TCP_FIN_WAIT1 && found.state != TCP_FIN_WAIT2)
		return -ENOENT;
	*ret_owner = found.owner;
	return 0;
}
