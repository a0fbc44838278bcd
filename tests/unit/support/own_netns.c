// SPDX-License-Identifier: Apache-2.0
#include "support/own_netns.h"

#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
/* After sys/socket.h, whose struct sockaddr it uses. */
#include <net/if.h>

#include "lib/util.h"

int enter_own_netns(void **state)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	_cleanup_close_ int fd = -1;

	(void)state;
	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	return ioctl(fd, SIOCSIFFLAGS, &request);
}
