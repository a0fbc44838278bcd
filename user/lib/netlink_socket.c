// SPDX-License-Identifier: Apache-2.0
#include "lib/netlink_socket.h"

#include <errno.h>
#include <linux/netlink.h>

/* libmnl's recommendation for receiving. Its MNL_SOCKET_BUFFER_SIZE calls sysconf each time. */
#define RECEIVE_SIZE 32768

int netlink_socket_open(struct netlink_socket *socket, int bus)
{
	int error;

	socket->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (socket->socket && mnl_socket_bind(socket->socket, 0, MNL_SOCKET_AUTOPID) == 0)
		return 0;
	error = -errno;
	netlink_socket_close(socket);
	return error;
}

void netlink_socket_close(struct netlink_socket *socket)
{
	if (socket->socket)
		(void)mnl_socket_close(socket->socket);
	socket->socket = NULL;
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

int netlink_socket_talk(struct netlink_socket *socket, struct nlmsghdr *header, mnl_cb_t callback,
			void *context)
{
	char buffer[RECEIVE_SIZE] __attribute__((aligned(8)));
	unsigned int port = mnl_socket_get_portid(socket->socket);
	int status = MNL_CB_OK, error, first_error = 0;

	header->nlmsg_flags |= NLM_F_REQUEST;
	if ((header->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		header->nlmsg_flags |= NLM_F_ACK;
	header->nlmsg_seq = ++socket->sequence;
	if (mnl_socket_sendto(socket->socket, header, header->nlmsg_len) < 0)
		return -errno;
	while (status > MNL_CB_STOP) {
		ssize_t size = mnl_socket_recvfrom(socket->socket, buffer, sizeof(buffer));

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
