// SPDX-License-Identifier: Apache-2.0
#include "sidecar/embedded_resolver.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "lib/sock_diag.h"
#include "lib/util.h"
#include "proto/dns_message.h"

/* 127.0.0.11, where an engine's resolver has sockets. It leads port 53 to theirs by NAT. */
#define RESOLVER_ADDRESS 0x7f00000bu
#define ANSWER_MAX	 1232
/* The wait for an answer, which the proxy gives at once. */
#define WAIT_MS 500

static int on_socket(const struct nlmsghdr *header, void *data)
{
	const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
	in_port_t *port = data;

	if (message->id.idiag_src[0] == htonl(RESOLVER_ADDRESS) && message->id.idiag_dport == 0)
		*port = message->id.idiag_sport;
	return MNL_CB_OK;
}

/* Finds the UDP socket that is bound to the resolver's address alone. *@ret_port is in network byte
 * order; 0: there is none. */
static int find_resolver(in_port_t *ret_port)
{
	const struct inet_diag_req_v2 request = sock_diag_request(AF_INET, IPPROTO_UDP, UINT32_MAX);

	*ret_port = 0;
	return sock_diag_dump(&request, sizeof(request), on_socket, ret_port);
}

/* Asks the resolver at @port for @name. Returns 0 if the answer is the proxy's, or -EXDEV. */
static int ask(in_port_t port, uint16_t id, const char *name)
{
	const struct sockaddr_in resolver = {.sin_family = AF_INET,
					     .sin_addr.s_addr = htonl(RESOLVER_ADDRESS),
					     .sin_port = port};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd answered = {.fd = fd, .events = POLLIN};
	uint8_t message[ANSWER_MAX];
	ssize_t size = (ssize_t)dns_query_write(id, name, message);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&resolver, sizeof(resolver)) < 0 ||
	    send(fd, message, (size_t)size, MSG_NOSIGNAL) < 0)
		return -errno;
	if (poll(&answered, 1, WAIT_MS) <= 0)
		return -EXDEV;
	size = recv(fd, message, sizeof(message), 0);
	return size > 0 && dns_id(message) == id && dns_is_made_up(message, (size_t)size) ? 0
											  : -EXDEV;
}

int embedded_resolver_check(struct policy *policy)
{
	char name[POLICY_EXPECTED_MAX + 1];
	uint32_t random[5];
	in_port_t port;
	int error = find_resolver(&port);

	if (error < 0 || port == 0)
		return error;
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	(void)snprintf(name, sizeof(name), "%08x%08x%08x%08x.sidestep.invalid", random[0],
		       random[1], random[2], random[3]);
	policy_expect(policy, name);
	error = ask(port, (uint16_t)random[4], name);
	policy_expect(policy, "");
	return error;
}
