// SPDX-License-Identifier: Apache-2.0
#include "sidecar/embedded_resolver.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "lib/util.h"
#include "proto/dns_message.h"
#include "proto/dns_wire.h"

/*
 * 127.0.0.11:53, which an engine leads to sockets of its own by NAT. That comes before any socket
 * of this namespace. So an application that listens here answers only where there is no engine.
 */
#define RESOLVER_ADDRESS 0x7f00000bu
#define DNS_PORT	 53
#define ANSWER_MAX	 1232
/* The wait for an answer, which the proxy gives at once. */
#define WAIT_MS 500

/*
 * Asks for @name. Returns 0 if the answer is one that the proxy makes up, -ECONNREFUSED if nobody
 * is there, or -EXDEV.
 */
static int ask(uint16_t id, const char *name)
{
	const struct sockaddr_in resolver = {.sin_family = AF_INET,
					     .sin_addr.s_addr = htonl(RESOLVER_ADDRESS),
					     .sin_port = htons(DNS_PORT)};
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd answered = {.fd = fd, .events = POLLIN};
	uint8_t message[ANSWER_MAX];
	ssize_t size = (ssize_t)dns_query_write(id, name, DNS_TYPE_A, message);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&resolver, sizeof(resolver)) < 0 ||
	    send(fd, message, (size_t)size, MSG_NOSIGNAL) < 0)
		return -errno;
	if (poll(&answered, 1, WAIT_MS) <= 0)
		return -EXDEV;
	size = recv(fd, message, sizeof(message), 0);
	if (size < 0)
		return -errno;
	return size > 0 && dns_id(message) == id && dns_is_made_up(message, (size_t)size) ? 0
											  : -EXDEV;
}

int embedded_resolver_check(struct policy *policy)
{
	char name[POLICY_EXPECTED_MAX + 1];
	uint32_t random[5];
	bool arrived;
	int error;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	(void)snprintf(name, sizeof(name), "%08x%08x%08x%08x.sidestep.invalid", random[0],
		       random[1], random[2], random[3]);
	(void)policy_expect(policy, name);
	error = ask((uint16_t)random[4], name);
	arrived = policy_expect(policy, "");
	if (error == -ECONNREFUSED)
		return 0;
	return error == 0 && !arrived ? -EXDEV : error;
}
