// SPDX-License-Identifier: Apache-2.0
#include "net/socket_owner.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <linux/sock_diag.h>

#include "lib/sock_diag.h"
#include "lib/util.h"

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

int socket_owners_self(uint64_t *ret_cgroup)
{
	struct sockaddr_in local = {.sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct inet_diag_req_v2 request = sock_diag_request(AF_INET, IPPROTO_TCP, UINT32_MAX);
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_netlink_socket_ struct netlink_socket diag = {.socket = NULL};
	socklen_t size = sizeof(local);
	struct found found = {.state = 0};
	int error;

	if (fd < 0 || bind(fd, (const struct sockaddr *)&local, size) < 0 || listen(fd, 0) < 0 ||
	    getsockname(fd, (struct sockaddr *)&local, &size) < 0)
		return -errno;
	error = sock_diag_open(&diag);
	if (error < 0)
		return error;
	sock_diag_put_end((const struct sockaddr *)&local, request.id.idiag_src,
			  &request.id.idiag_sport);
	error = sock_diag_one(&diag, SOCK_DIAG_BY_FAMILY, &request, on_socket, &found);
	if (error < 0)
		return error;
	*ret_cgroup = found.owner.cgroup;
	return 0;
}
