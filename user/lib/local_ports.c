// SPDX-License-Identifier: Apache-2.0
#include "lib/local_ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/random.h>

#include "lib/util.h"

#define RANGE_PATH "/proc/sys/net/ipv4/ip_local_port_range"
/* How many ports are tried. Others of ours have some of them, and so may the application. */
#define TRIES 16

bool local_ports_read(struct local_ports *ret_range)
{
	_cleanup_fclose_ FILE *file = fopen(RANGE_PATH, "re");

	return file && fscanf(file, "%hu %hu", &ret_range->low, &ret_range->high) == 2 &&
	       ret_range->low <= ret_range->high;
}

static void set_port(struct sockaddr *address, in_port_t port)
{
	if (address->sa_family == AF_INET6)
		((struct sockaddr_in6 *)address)->sin6_port = port;
	else
		((struct sockaddr_in *)address)->sin_port = port;
}

static int try_bind(int fd, struct sockaddr *address, socklen_t size, uint16_t port)
{
	set_port(address, htons(port));
	if (bind(fd, address, size) < 0 || getsockname(fd, address, &size) < 0)
		return -errno;
	return 0;
}

int local_ports_bind_above(int fd, struct sockaddr *address, socklen_t size)
{
	struct local_ports range = {.high = UINT16_MAX};
	uint16_t random[TRIES];
	int i, error = -EADDRINUSE;

	if (local_ports_read(&range) && range.high < UINT16_MAX &&
	    getrandom(random, sizeof(random), 0) == (ssize_t)sizeof(random)) {
		for (i = 0; i < TRIES && error == -EADDRINUSE; i++)
			error = try_bind(fd, address, size,
					 (uint16_t)(UINT16_MAX -
						    random[i] % (UINT16_MAX - range.high)));
	}
	return error == -EADDRINUSE ? try_bind(fd, address, size, 0) : error;
}
