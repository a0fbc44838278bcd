// SPDX-License-Identifier: Apache-2.0
#include "agent/agent_guard.h"

#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/log.h"
#include "lib/netns.h"
#include "lib/util.h"

/* A session guards as many at most. */
#define MAX_DEVICES 256

static bool is_ethernet(int fd, const char *name)
{
	struct ifreq request = {.ifr_flags = 0};

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return ioctl(fd, SIOCGIFHWADDR, &request) == 0 &&
	       request.ifr_hwaddr.sa_family == ARPHRD_ETHER;
}

/* Lists the Ethernet devices of the thread's namespace. Returns their number or a negative errno.
 */
static int list_devices(uint32_t devices[MAX_DEVICES])
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct if_nameindex *names, *name;
	int count = 0;

	if (fd < 0)
		return -errno;
	names = if_nameindex();
	if (!names)
		return -errno;
	for (name = names; name->if_index && count < MAX_DEVICES; name++)
		if (is_ethernet(fd, name->if_name))
			devices[count++] = name->if_index;
	if_freenameindex(names);
	return count;
}

/* Does likewise in @namespace. */
static int list_devices_of(const struct agent_namespace *namespace, uint32_t devices[MAX_DEVICES])
{
	int error = netns_enter(namespace->netns_fd), count = 0, back;

	if (error == 0)
		count = list_devices(devices);
	back = netns_enter(namespace->home_fd);
	return back < 0 ? back : error < 0 ? error : count;
}

int agent_guard_close(struct agent_namespace *namespace)
{
	uint32_t devices[MAX_DEVICES] = {0};
	int count = list_devices_of(namespace, devices), i, error, first_error;

	if (count < 0)
		return log_errno(count,
				 "cannot list the devices of network namespace %u, which "
				 "stays open",
				 namespace->netns);
	first_error = agent_namespace_attach_steer(namespace);
	for (i = 0; i < count; i++) {
		error = agent_namespace_attach_device(namespace, devices[i]);
		/* The device is gone. */
		if (error == -ENODEV)
			continue;
		if (first_error == 0)
			first_error = error;
	}
	return first_error;
}
