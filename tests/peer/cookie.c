// SPDX-License-Identifier: Apache-2.0
/* Prints the cookie of the network namespace (SO_NETNS_COOKIE, Linux 5.14), as names of sockets
 * have it. */
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "peer.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

int command_cookie(const struct options *options)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie;
	socklen_t size = sizeof(cookie);

	(void)options;
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0)
		return 1;
	printf("%llu\n", (unsigned long long)cookie);
	return 0;
}
