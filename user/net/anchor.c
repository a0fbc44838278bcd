// SPDX-License-Identifier: Apache-2.0
#include "net/anchor.h"

#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <linux/if_tun.h>

#include "lib/util.h"
#include "net/netlink_link.h"

#define TUN_PATH  "/dev/net/tun"
#define TUN_MAJOR 10
#define TUN_MINOR 200
/* IPv6 needs 1280 (RFC 8200 section 5). With less, the kernel gives the device no IPv6 address and
 * no multicast route, which other sockets could use. Nothing is ever sent through the device. */
#define ANCHOR_MTU 1279
/*
 * A dying process releases its files from the highest descriptor down (exit_files() queues them in
 * ascending order, task_work_run() takes the newest first). The device must go before listeners and
 * BPF links, or connections made in between find no listener and hang.
 */
#define ANCHOR_FD 1000

/* Containers have no /dev/net. A node of our own works where the device cgroup allows it. */
static int open_own_node(void)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/dev/.sidestep-tun-%d", (int)getpid());
	if (mknod(path, S_IFCHR | 0600, makedev(TUN_MAJOR, TUN_MINOR)) < 0)
		return -errno;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		fd = -errno;
	(void)unlink(path);
	return fd;
}

static int open_tun(void)
{
	int fd = open(TUN_PATH, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		return fd;
	return errno == ENOENT ? open_own_node() : -errno;
}

int anchor_probe(void)
{
	_cleanup_close_ int fd = open_tun();

	return fd < 0 ? fd : 0;
}

int anchor_open(unsigned int *ret_ifindex)
{
	_cleanup_netlink_ struct netlink *netlink = NULL;
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	_cleanup_close_ int fd = -1;
	unsigned int ifindex;
	int error, high;

	fd = open_tun();
	if (fd < 0)
		return fd;
	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "sidestep%%d");
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return -errno;
	ifindex = if_nametoindex(request.ifr_name);
	if (ifindex == 0)
		return -errno;
	error = netlink_open(&netlink);
	if (error == 0)
		error = netlink_link_set_mtu(netlink, ifindex, ANCHOR_MTU);
	if (error == 0)
		error = netlink_link_set_group(netlink, ifindex, NETLINK_GROUP_ANCHOR);
	if (error == 0)
		error = netlink_link_up(netlink, ifindex, true);
	if (error < 0)
		return error;
	*ret_ifindex = ifindex;
	high = fcntl(fd, F_DUPFD_CLOEXEC, ANCHOR_FD);
	return high >= 0 ? high : TAKE_FD(fd);
}
