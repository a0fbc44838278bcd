// SPDX-License-Identifier: Apache-2.0
#include "proxy/listener_group.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/local_ports.h"
#include "lib/sock_diag.h"
#include "lib/util.h"

/* How many addresses of 127.0.0.0/8 are tried for a socket that holds one for a moment. */
#define SPOIL_TRIES 8

void listener_group_init(struct listener_group *group, int family)
{
	*group = (struct listener_group) {.family = family, .guard = -1};
}

static int bind_loopback(struct listener_group *group, int fd)
{
	struct sockaddr_in ipv4 = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = group->port};
	struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6,
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT,
				    .sin6_port = group->port};
	bool is_ipv6 = group->family == AF_INET6;
	struct sockaddr *address = is_ipv6 ? (struct sockaddr *)&ipv6 : (struct sockaddr *)&ipv4;
	socklen_t size = is_ipv6 ? sizeof(ipv6) : sizeof(ipv4);
	int error;

	if (group->port != 0)
		return bind(fd, address, size) < 0 ? -errno : 0;
	error = local_ports_bind_above(fd, address, size);
	group->port = is_ipv6 ? ipv6.sin6_port : ipv4.sin_port;
	return error;
}

static int set_shared(int fd, int shared)
{
	return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, sizeof(shared)) < 0 ? -errno : 0;
}

/*
 * A connection's socket has the port to which its client connected. The application may want that
 * port for a server of its own, so each such socket takes SO_REUSEADDR over, and keeps it in
 * TIME_WAIT. A socket that listens shares with none (inet_bind_conflict()), hence not before that.
 */
static int let_servers_bind(int listener)
{
	static const int one = 1;

	return setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ? -errno : 0;
}

int listener_group_join(struct listener_group *group, int fd, int backlog)
{
	/* The first one must find a port that nobody else has. */
	bool first = group->port == 0;
	int error = first ? 0 : set_shared(fd, 1);

	if (error == 0)
		error = bind_loopback(group, fd);
	if (error == 0 && first)
		error = set_shared(fd, 1);
	if (error == 0 && listen(fd, backlog) < 0)
		error = -errno;
	if (error == 0)
		error = let_servers_bind(fd);
	if (error == 0)
		group->members++;
	return error;
}

static int open_guard(struct listener_group *group)
{
	static const int one = 1;
	bool ipv6 = group->family == AF_INET6;
	_cleanup_close_ int fd = socket(group->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error;

	/* Where IPv6 is switched off, lo has no ::1. The socket is bound to no device, so it
	 * concerns sockets that are bound to any. */
	if (fd < 0 ||
	    setsockopt(fd, ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, ipv6 ? IPV6_FREEBIND : IP_FREEBIND,
		       &one, sizeof(one)) < 0 ||
	    (ipv6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0))
		return -errno;
	error = set_shared(fd, 1);
	if (error == 0)
		error = bind_loopback(group, fd);
	if (error == 0)
		error = set_shared(fd, 0);
	if (error == 0)
		group->guard = TAKE_FD(fd);
	return error;
}

/*
 * The kernel remembers for each port that its sockets share it, and then looks at none of them. A
 * socket that does not share ends this, whatever its address is (inet_csk_update_fastreuse()). It
 * need not stay.
 */
static int spoil_memory(in_port_t port)
{
	static const int one = 1;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = port};
	uint32_t i;

	for (i = 1; i <= SPOIL_TRIES; i++) {
		_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
		if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one)) < 0)
			return -errno;
		if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
			return 0;
	}
	return -EADDRINUSE;
}

struct count {
	const struct listener_group *group;
	unsigned int listeners;
};

static int on_listener(const struct nlmsghdr *header, void *data)
{
	const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
	static const struct in6_addr ipv6 = IN6ADDR_LOOPBACK_INIT;
	const in_addr_t ipv4 = htonl(INADDR_LOOPBACK);
	struct count *count = data;
	bool is_ipv6 = count->group->family == AF_INET6;

	if (message->id.idiag_sport == count->group->port &&
	    memcmp(message->id.idiag_src, is_ipv6 ? (const void *)&ipv6 : (const void *)&ipv4,
		   is_ipv6 ? sizeof(ipv6) : sizeof(ipv4)) == 0)
		count->listeners++;
	return MNL_CB_OK;
}

/* Counts the sockets that listen at the group's address. 0: the kernel does not tell. */
static unsigned int count_listeners(const struct listener_group *group)
{
	struct inet_diag_req_v2 request = sock_diag_request(group->family, IPPROTO_TCP,
							    1U << TCP_LISTEN);
	struct count count = {.group = group};

	request.id.idiag_sport = group->port;
	(void)sock_diag_dump(&request, sizeof(request), on_listener, &count);
	return count.listeners;
}

int listener_group_seal(struct listener_group *group)
{
	int error = open_guard(group);
	unsigned int count;

	if (error == 0)
		error = spoil_memory(group->port);
	if (error < 0)
		return error;
	/* Somebody may have joined before. */
	count = count_listeners(group);
	return count > 0 && count != group->members ? -EADDRINUSE : 0;
}

void listener_group_release(struct listener_group *group)
{
	group->guard = safe_close(group->guard);
}
