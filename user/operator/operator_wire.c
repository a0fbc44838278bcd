// SPDX-License-Identifier: Apache-2.0
#include "operator/operator_wire.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "lib/netns.h"

int operator_address(const char *root, uint64_t cookie, struct sockaddr_un *ret_address)
{
	int length;

	*ret_address = (struct sockaddr_un) {.sun_family = AF_UNIX};
	length = snprintf(ret_address->sun_path, sizeof(ret_address->sun_path),
			  "%s" OPERATOR_FOLDER "/%llu.control", root, (unsigned long long)cookie);
	return length < (int)sizeof(ret_address->sun_path) ? 0 : -ENAMETOOLONG;
}

uint64_t operator_netns(void)
{
	uint64_t cookie;

	return netns_cookie_own(&cookie) < 0 ? 1 : cookie;
}
