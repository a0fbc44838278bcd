// SPDX-License-Identifier: Apache-2.0
#include "net/socket_owner.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <linux/sock_diag.h>

#include "lib/sock_diag.h"

struct found {
	struct socket_owner owner;
	int state;
};

int socket_owners_open(struct socket_owners *owners)
{
	(void)pthread_mutex_init(&owners->lock, NULL);
	return sock_diag_open(&owners->diag);
}

void socket_owners_close(struct socket_owners *owners)
{
	netlink_socket_close(&owners->diag);
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

int socket_owners_find(struct socket_owners *owners, const struct sockaddr *local,
		       const struct sockaddr *remote, struct socket_owner *ret_owner)
{
	struct inet_diag_req_v2 request = sock_diag_request(local->sa_family, IPPROTO_TCP,
							    UINT32_MAX);
	struct found found = {.state = 0};
	int error;

	sock_diag_put_end(local, request.id.idiag_src, &request.id.idiag_sport);
	sock_diag_put_end(remote, request.id.idiag_dst, &request.id.idiag_dport);
	(void)pthread_mutex_lock(&owners->lock);
	error = sock_diag_one(&owners->diag, SOCK_DIAG_BY_FAMILY, &request, on_socket, &found);
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
